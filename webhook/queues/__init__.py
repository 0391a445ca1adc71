"""The three queues in the database: webhooks in, deliveries out, and long jobs."""
