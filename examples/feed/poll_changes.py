"""Prints every change of an account, from the time of its first start on. It needs no package.

The cursor is stored in `cursor.txt` after a page has been printed. So a restart misses no change, but can print the
last page again. Arguments: the folder of the cursor, and `--once` to stop when there is no further change.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

URL, TOKEN = os.environ["CONTACTS_URL"], os.environ["CONTACTS_TOKEN"]
SECONDS_TO_WAIT = 30


def read_changes(**query):
    """Returns a page of the change feed. If the service does not answer, tries again."""
    request = urllib.request.Request(f"{URL}/contacts/changes?{urllib.parse.urlencode(query)}")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    while True:
        pause = 1
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_TO_WAIT + 30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 410:
                sys.exit("The feed no longer has the changes since the last run: read all contacts, and delete cursor.txt")
            if error.code not in (429, 503):
                sys.exit(f"{error.code}: {error.read().decode()}")
            pause = int(error.headers.get("Retry-After", pause))
        except OSError as error:
            print(f"no answer, trying again: {error}", file=sys.stderr)
        time.sleep(pause)


def describe(change):
    values = ", ".join(f"{name}: {value['old']!r} -> {value['new']!r}" for name, value in change["changed"].items())
    return f"{change['at']} {change['type']} {change['external_id'] or change['contact_id']} by {change['actor']} {values}".rstrip()


def main():
    file, once = Path(sys.argv[1], "cursor.txt"), "--once" in sys.argv
    if not file.exists():
        file.write_text(read_changes(after="now")["next"])
    while True:
        # The service answers at the next change, or after the time to wait.
        page = read_changes(after=file.read_text(), limit=1000, wait=0 if once else SECONDS_TO_WAIT)
        for change in page["data"]:
            print(describe(change), flush=True)
        file.write_text(page["next"])
        if once and not page["data"]:
            return


if __name__ == "__main__":
    main()
