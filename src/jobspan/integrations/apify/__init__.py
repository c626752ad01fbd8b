"""Apify: actor runs started, waited for or detached, their cost, and the webhook that ends them.

No part of jobspan imports apify-client; install it with the extra ``jobspan[apify]``. Runs are read as the
client gives them: models (3.x) or dicts (1.x, 2.x).
"""

from jobspan.integrations.apify.booking import record_apify_run
from jobspan.integrations.apify.reading import ApifyRunError, status_of
from jobspan.integrations.apify.refetch import arefresh, refresh
from jobspan.integrations.apify.running import arun_actor, astart_actor, run_actor, start_actor
from jobspan.integrations.apify.webhook import Webhook, WebhookRefused, handle_webhook, read_webhook

__all__ = [
    "ApifyRunError",
    "Webhook",
    "WebhookRefused",
    "arefresh",
    "arun_actor",
    "astart_actor",
    "handle_webhook",
    "read_webhook",
    "record_apify_run",
    "refresh",
    "run_actor",
    "start_actor",
    "status_of",
]
