"""A new product drafted from sample lines: format inferred, fields proposed, YAML written for a person to finish."""
