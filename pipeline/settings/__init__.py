"""Where things are and how they are set: YAML and environment in, frozen values out."""
