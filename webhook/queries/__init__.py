"""Queries: what pages, API and commands all ask about webhooks, deliveries, plays, people and senders."""
