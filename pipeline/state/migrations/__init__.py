"""Alembic's steps from one shape of the tables to the next. Run by `pipeline.state.migrate`."""
