"""What the tests of landing folders run in processes of their own, to be killed or measured."""

import os
import resource
import signal
import warnings

import tidyusage as tu
from api_server import TOKEN
from tidyusage.api import limits

# Accounts and reports that are fetched and killed.
OF = ("a1", ["cost", "user_usage"])


def fetch(url, folder, accounts, reports):
    """Fetch into a folder."""
    tu.fetch_usage(
        integrated_account_id=accounts,
        report_type=reports,
        start_date="2026-01-01",
        end_date="2026-02-01",
        lookback=0,
        token=TOKEN,
        base_url=url,
        into=folder,
    )


def fetch_and_die(url, folder, accounts, reports, step):
    """Fetch into a folder, and kill this process before the given step of writing."""
    left = [step]

    def dying(function):
        def step_by_step(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return step_by_step

    os.fsync, os.replace, os.makedirs = map(dying, (os.fsync, os.replace, os.makedirs))
    fetch(url, folder, accounts, reports)
    os._exit(7)


def peak(url, folder, accounts, pipe):
    """Fetch into a folder, then record by record; tell the most memory that it took, in MB."""
    warnings.simplefilter("ignore")
    limits.SECONDS = 0.0  # memory is measured, not patience
    fetch(url, folder, accounts, None)
    options = {"token": TOKEN, "base_url": url, "integrated_account_id": accounts}
    count = sum(1 for _ in tu.iter_usage(**options))
    pipe.send((count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
