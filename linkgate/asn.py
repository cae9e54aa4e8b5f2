"""AS numbers from a database file in MaxMind's format, where the operator has one.

MaxMind's GeoLite2 ASN, DB-IP's ASN Lite and IPinfo's Lite and ASN files can be used.
"""

from itertools import islice
from pathlib import Path
from typing import Any

import maxminddb

from linkgate.errors import ConfigError, Problem

FIELD = "detection.asn_database"
MEND = "download GeoLite2-ASN, DB-IP ASN Lite or IPinfo Lite as .mmdb, or remove the setting"

# A file for something else (cities, countries) has no number in any record. Not each record of a
# good one has it, and a file's first networks are the reserved ones.
_LOOKED_AT = 1000


class AsnDatabase:
    """An open database: called with an address, it returns the address's AS number or None.

    The file is mapped into memory, so that several processes share one copy of it. Replace it by
    renaming a new one over it, as `geoipupdate` does; writing into an open file can end the
    process. A new one is read after a restart.

    Raises ConfigError, with the field `detection.asn_database` and the mend.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb"):  # maxminddb calls a folder a damaged file
                pass
            # maxminddb's C part would be faster (4 us an address instead of 30), but a damaged file
            # ends the process there, and here raises.
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MMAP)
            metadata = self._reader.metadata()
            numbers = (_number(record) for _, record in islice(self._reader, _LOOKED_AT))
            usable = any(number is not None for number in numbers)
        except OSError as error:
            raise _refused(f"{path} can't be read: {error.strerror or error}; {MEND}") from None
        except Exception:  # maxminddb raises whatever comes of a damaged file
            raise _refused(f"{path} is no MaxMind database, or is damaged; {MEND}") from None
        self.kind: str = metadata.database_type
        #: When the database was made, in Unix seconds.
        self.built_at: int = metadata.build_epoch
        if not usable:
            self._reader.close()
            raise _refused(f"{path} ({self.kind}) holds no AS numbers; {MEND}")

    def __call__(self, address: str) -> int | None:
        """Return the AS number of an address; None where there is none. Never raises."""
        try:
            return _number(self._reader.get(address))
        except Exception:
            # No address, IPv6 in a file of IPv4, a damaged part of the file, a closed database: a
            # visit is judged without the number.
            return None

    def close(self) -> None:
        """Let go of the file; every lookup afterwards returns None."""
        self._reader.close()


def _number(record: Any) -> int | None:
    if not isinstance(record, dict):
        return None
    number = record.get("autonomous_system_number")  # MaxMind, DB-IP
    if isinstance(number, int):
        return number
    text = record.get("asn")  # IPinfo: "AS15169"
    if isinstance(text, str) and text[2:].isdecimal():
        return int(text[2:])
    return None


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem(FIELD, message)])
