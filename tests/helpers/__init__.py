"""What several tests begin with: tiny configurations, events, files."""
