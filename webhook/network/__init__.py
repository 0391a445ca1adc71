"""Request origins: trusted proxies, allowed senders and throttled guesses."""
