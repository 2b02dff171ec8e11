"""Long work that people ask for: backfills and backtests."""
