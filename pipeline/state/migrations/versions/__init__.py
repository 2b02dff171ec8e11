"""One file a step; `make migration` writes the first one anew until the first release."""
