"""What runs, in the order of the data: receiver, body, interpreter, dispatcher."""
