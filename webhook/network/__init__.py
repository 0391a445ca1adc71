"""Who is asking: proxies that are believed, senders that are let in, and guesses that are slowed."""
