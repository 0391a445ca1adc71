"""A household, simulated: what people watched, what their servers report of it, and what Watchmark makes of that.

narrator   invents a story (story) by people's habits, out of what they own (catalogue)
truth      says what was watched in it, knowing nothing of webhooks
senders    are the media servers: they report the story with the holes that they really have
noise      loses, doubles and delays what they send
house      is the service, with the clock handed in
evidence   weighs what arrived of one viewing
determined says what the webhooks that arrived determine
comparison holds every person's plays against that
runs       puts it together, and cuts a story down to the lines that show a fault
"""
