"""Activity: webhooks and deliveries with their outcomes."""
