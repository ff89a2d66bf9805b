"""Show the state of an account.

Prints its balances, its plan and what has been used of it, the latest transactions and the latest projects.
"""

import argparse
import os
from itertools import islice

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--limit", type=int, default=5, help="transactions and projects to list (default: %(default)s)")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    if not os.environ.get("SOGNI_API_KEY"):  # an account of the emulator has no history yet
        client.projects.create(type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse").wait()

    print("account     ", client.account.me().username)
    balance = client.account.refresh_balance()
    print("balance     ", balance.spark.net, "Spark,", balance.sogni.net, "Sogni")
    plan = client.account.refresh_subscription()
    usage = client.account.get_subscription_usage()
    print("plan        ", plan.status, "-", usage.period_jobs, "jobs for", usage.period_render_spark, "Spark")
    for entry in islice(client.account.transactions(limit=args.limit), args.limit):
        print(f"transaction  {entry.create_time:%Y-%m-%d %H:%M}", entry.amount, entry.token_type, entry.description)
    for project in client.projects.list_recent(limit=args.limit):
        print(f"project      {project.finished_at:%Y-%m-%d %H:%M}", project.model_name, len(project.jobs), "results")
