"""Leases: jobs that one process at a time does, however many run."""

from linkgate.store import keys
from linkgate.store.connect import Connection, Script

# KEYS: lease. ARGV: owner, ms. Returns 1 if it is the owner's now.
_TAKE = Script(
    "take a lease",
    """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""",
)

# KEYS: lease. ARGV: owner.
_GIVE_BACK = Script(
    "give a lease back",
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
""",
)


class Lease:
    """One job's lease; `owner` is unique to the process. Raises StoreUnavailable."""

    def __init__(self, connection: Connection, name: str, owner: str) -> None:
        self._connection = connection
        self._key = keys.lease(name)
        self._owner = owner

    async def take(self, seconds: float) -> bool:
        """Take the lease, or keep it for longer; False while another process has it."""
        args: list[str | int | bytes] = [self._owner, int(seconds * 1000)]
        return bool(await self._connection.script(_TAKE, [self._key], args))

    async def give_back(self) -> None:
        """Let others have it."""
        await self._connection.script(_GIVE_BACK, [self._key], [self._owner])
