"""The Lua scripts of doubts: what has to be one step for every process at once.

All are safe to repeat. Time inside them is the store's own clock.
"""

from linkgate.store.connect import Script

_CLOCK = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
"""

# KEYS: due, all. ARGV: most, delay ms, then id, JSON, id, JSON, ... Returns how many were taken.
PUT = Script(
    "put doubts",
    _CLOCK
    + """
local taken = 0
for index = 3, #ARGV, 2 do
    if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[1]) then break end
    if redis.call('HSETNX', KEYS[2], ARGV[index], ARGV[index + 1]) == 1 then
        redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[index])
    end
    taken = taken + 1
end
return taken
""",
)

# KEYS: due, all. ARGV: how many, lease ms, longest delay ms. Returns {id, JSON, id, JSON, ...}
TAKE = Script(
    "take doubts",
    _CLOCK
    + """
local taken = {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
-- Further off than any delay: by the clock of another server, before a failover.
local lost = redis.call('ZRANGEBYSCORE', KEYS[1], now + tonumber(ARGV[2]) + tonumber(ARGV[3]),
    '+inf', 'LIMIT', 0, tonumber(ARGV[1]) - #due)
for _, id in ipairs(lost) do due[#due + 1] = id end
for _, id in ipairs(due) do
    local text = redis.call('HGET', KEYS[2], id)
    if text then
        taken[#taken + 1] = id
        taken[#taken + 1] = text
        redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), id)
    else
        redis.call('ZREM', KEYS[1], id)
    end
end
return taken
""",
)

# KEYS: due, all. ARGV: id, JSON ('' strikes it out), delay ms
PUT_BACK = Script(
    "put doubt back",
    _CLOCK
    + """
if ARGV[2] == '' then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
elseif redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
end
return 1
""",
)

# KEYS: visits or buffered. ARGV: line, new line. Returns 0 if the line has changed meanwhile.
REWRITE = Script(
    "rewrite visit",
    """
for index, line in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if line == ARGV[1] then
        redis.call('LSET', KEYS[1], index - 1, ARGV[2])
        return 1
    end
end
return 0
""",
)

# KEYS: link, visits. ARGV: session id, revision that no campaign has, '1' to wait for visits under
# way. Returns 0 if somebody was sent to the session who wasn't taken back. Else it is not used
# again: whoever comes next closes it before another is minted. Returns 2 if somebody may be on the
# way to it whose outcome isn't written yet, else 1.
DISOWN = Script(
    "disown session",
    """
local answer, known = 1, false
for _, line in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    local decision, outcome, body = string.match(line, '^([^\\t]*)\\t([^\\t]*)\\t(.*)$')
    -- Who reused a session came after the one that minted it, and stands before it in the list.
    known = known or outcome == 'minted ' .. ARGV[1]
    if decision == 'mint' and not string.find(body, '"closing":true', 1, true) then
        if outcome == 'minted ' .. ARGV[1] or outcome == 'reused ' .. ARGV[1] then return 0 end
        if outcome == '' and ARGV[3] == '1' then answer = 2 end
    end
end
-- A storm has pushed out who was sent there: it may be a person.
if not known then return 0 end
if redis.call('HGET', KEYS[1], 'current') == ARGV[1] then
    redis.call('HSET', KEYS[1], 'current_revision', ARGV[2])
end
return answer
""",
)

# KEYS: counters, recounted. ARGV: seconds kept, counter
COUNT_ONCE = Script(
    "count once",
    """
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[1]) then
    redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
end
return 1
""",
)

# KEYS: counters, then one `recounted` for each change. ARGV: seconds kept, from, to, from, to, ...
RECOUNT = Script(
    "recount",
    """
for index = 2, #KEYS do
    if redis.call('SET', KEYS[index], '1', 'NX', 'EX', ARGV[1]) then
        redis.call('HINCRBY', KEYS[1], 'visits.' .. ARGV[2 * index - 2], -1)
        redis.call('HINCRBY', KEYS[1], 'visits.' .. ARGV[2 * index - 1], 1)
        redis.call('HINCRBY', KEYS[1], 'verdicts.changed', 1)
    end
end
return 1
""",
)
