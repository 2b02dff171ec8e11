"""The embedded store: Parquet files under a manifest, on one machine."""
