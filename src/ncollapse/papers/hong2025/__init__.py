"""hong2025: where shallow networks can collapse on general data, and what it costs."""
