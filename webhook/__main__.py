"""`python -m webhook` is the command `watchmark`."""

from webhook.cli import main

main()
