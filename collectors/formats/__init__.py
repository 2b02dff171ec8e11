"""Wire formats: lines in, groups of equal shape out. Pure; they know no field of ECS and no store."""
