"""The pipeline behind the collectors: normalise, store, detect, ticket, show."""
