"""Webhook out: another receiver that is told by webhooks, in one of Jellyfin's two shapes, ours, or one of a person's own.

https://github.com/jellyfin/jellyfin-plugin-webhook (flat), https://github.com/shemanaev/jellyfin-plugin-webhooks (nested)
"""

from webhook.trackers.webhook_out.tracker import LABEL, PURPOSE, SETUP, Settings, WebhookOut, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "Settings", "WebhookOut", "build"]
