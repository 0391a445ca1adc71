"""Activity: webhooks and deliveries, and what became of each."""
