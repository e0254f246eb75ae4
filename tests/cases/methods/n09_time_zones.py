# META {"args": ["2026-03-29T00:30:00+00:00"], "expect": ["2026-03-29T01:30:00+01:00", "2026-03-29T11:30:00+11:00"]}
from datetime import datetime
from zoneinfo import ZoneInfo

def local_times(self, moment):
    when = datetime.fromisoformat(moment)
    return [when.astimezone(ZoneInfo(zone)).isoformat() for zone in ("Europe/Berlin", "Australia/Sydney")]
