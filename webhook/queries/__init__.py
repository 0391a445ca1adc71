"""What pages, API and commands all ask: webhooks, deliveries and plays, with the reasons."""
