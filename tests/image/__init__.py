"""The image as it is shipped: built from the Dockerfile, and run as compose.yaml runs it."""
