"""The pipeline, in the order of the data: receiver, body, interpreter, dispatcher."""
