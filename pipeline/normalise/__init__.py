"""Raw records in, columns of ECS out: mappings are data, compiled once; nothing here knows a store or a rule."""
