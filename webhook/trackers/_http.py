"""Moved to webhook.remote."""

from webhook.remote import accept as accept
from webhook.remote import call as call
from webhook.remote import clean as clean
from webhook.remote import plain as plain
from webhook.remote import read as read
from webhook.remote import shown as shown
