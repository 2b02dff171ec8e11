"""Receivers: one file per transport, all behind the contract in `collectors.receivers.base`."""
