"""The Lua scripts: what has to be one step for every process at once.

Time inside them is the store's own clock, so that gateways with different clocks agree on a lease.
Each script keeps to the keys of one link (one slot). All are safe to repeat: a client that lost the
connection can't know whether its call went through.
"""

from linkgate.store.connect import Script
from linkgate.store.outbox import APPEND

_CLOCK = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
"""

_KEEP = """
local function keep(key, till)
    -- Only ever later: a token that expires sooner must not end what a longer-lived one relies on.
    if redis.call('TTL', key) + tonumber(redis.call('TIME')[1]) < tonumber(till) then
        redis.call('EXPIREAT', key, till)
    end
end
"""

# KEYS: link, visits, sessions, private, then the outbox's lists
# ARGV: 1 keep until (Unix s), 2 visit id, 3 decision, 4 visit JSON ('' records nothing), 5 visits
#       kept, 6 owner ('' claims nothing), 7 lease ms, 8 reuse ms, 9 replay ms, 10 campaign,
#       11 recipient, 12 expires (Unix s), 13 customer, 14 the campaign's revision, 15 how often the
#       link can be paid (0: without end), 16 whether it is leased ('1') or led on at once, 17
#       whether subscriptions that have ended don't count ('1'), 18 whether the person wants to pay
#       once more though a payment is on its way ('1'), then a line for each of the outbox's lists
# Returns {status, done, session, attempt, attempt_at, request, private, spent_at, now,
#          {other sessions that may be open}, payer, recovery_until, standing, once more}
ENTER = Script(
    "enter",
    _CLOCK
    + _KEEP
    + APPEND
    + """
local known = redis.call('HMGET', KEYS[1], 'revoked_at', 'done', 'current', 'current_at', 'lease',
    'lease_until', 'attempt', 'attempt_at', 'attempt_open', 'request', 'expires_at', 'spent_at',
    'current_revision', 'done_count', 'open', 'payer', 'recovery_until', 'ended_count', 'standing',
    'alive', 'coming')
local revoked, done = known[1], known[2]
local limit = tonumber(ARGV[15])
local made = done and tonumber(known[14] or 1) or 0
if ARGV[17] == '1' then made = made - tonumber(known[18] or 0) end
local more = 0
-- Beside a subscription that lives, though its first payment failed, none is sold.
if done and not known[20] and (limit == 0 or made < limit) then
    if known[21] and ARGV[18] ~= '1' then
        done, more = 'pending', 1
    else
        done = nil
    end
end
local answer = {'page', done or '', '', 0, 0, '', '', 0, now, {}, known[16] or '',
    tonumber(known[17] or 0), known[19] or '', more}
local decision, outcome = ARGV[3], ''

local function open_session()
    if not known[3] then return nil end
    local text = redis.call('HGET', KEYS[3], known[3])
    if not text then return nil end
    local session = cjson.decode(text)
    -- Whether it has run out is Stripe's to say: by a clock that is ahead it would stay open there.
    if session.state ~= 'open' then return nil end
    return session, text
end

-- A time ahead of this clock was set by another server's, before a failover: it says nothing.
local function within(since, limit)
    local passed = now - tonumber(since or 0)
    return passed >= 0 and passed < tonumber(limit)
end

if done then
    answer[1], decision = 'done', 'already done'
elseif revoked then
    answer[1], decision = 'revoked', 'refuse'
elseif ARGV[6] ~= '' and ARGV[16] ~= '1' then
    answer[7] = redis.call('GET', KEYS[4]) or ''
elseif ARGV[6] ~= '' then
    local session, text = open_session()
    local left = known[5] and known[5] ~= ARGV[6] and tonumber(known[6]) - now or 0
    local leased = left > 0 and left <= tonumber(ARGV[7])
    if leased then
        answer[1] = 'wait'
    elseif session and within(known[4], ARGV[8]) and known[13] == ARGV[14]
            and now < session.expires_at * 1000 then
        answer[1], answer[3], outcome = 'reuse', text, 'reused ' .. session.id
    else
        local attempt, at = tonumber(known[7] or 0), tonumber(known[8] or 0)
        -- An attempt whose result nobody knows is taken up again; once no session of it can be open
        -- at Stripe, it can't matter any more.
        if known[9] ~= '1' or now - at >= tonumber(ARGV[9]) then
            attempt, at = attempt + 1, now
            redis.call('HSET', KEYS[1], 'attempt', attempt, 'attempt_at', at, 'attempt_open', '1',
                'request', '')
            redis.call('HDEL', KEYS[1], 'spent_at')
            known[10], known[12] = '', nil
        elseif (known[10] or '') == '' then
            -- Nothing was asked yet: the attempt begins now, or its times would be too old to ask.
            at = now
            redis.call('HSET', KEYS[1], 'attempt_at', at)
        end
        redis.call('HSET', KEYS[1], 'lease', ARGV[6], 'lease_until', now + tonumber(ARGV[7]))
        answer[1], answer[3], answer[4], answer[5] = 'claimed', text or '', attempt, at
        answer[6], answer[7] = known[10] or '', redis.call('GET', KEYS[4]) or ''
        answer[8] = tonumber(known[12] or 0)
        for id in string.gmatch(known[15] or '', '%S+') do
            local other = id ~= known[3] and redis.call('HGET', KEYS[3], id)
            if other then table.insert(answer[10], other) end
        end
    end
end

-- A webhook that came first tells of a link's campaign and recipient at most.
if not known[11] then
    redis.call('HSET', KEYS[1], 'campaign', ARGV[10], 'recipient', ARGV[11], 'expires_at', ARGV[12],
        'customer', ARGV[13])
end
if ARGV[4] ~= '' then
    local newest = redis.call('LINDEX', KEYS[2], 0)
    if not newest or not string.find(newest, ARGV[2], 1, true) then
        redis.call('LPUSH', KEYS[2], decision .. '\\t' .. outcome .. '\\t' .. ARGV[4])
        redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[5]) - 1)
        local before, after = '"decision":"' .. ARGV[3] .. '"', '"decision":"' .. decision .. '"'
        for index = 5, #KEYS do
            -- Made before it was known what stands; a quote inside a text of the line is escaped.
            append(KEYS[index], (string.gsub(ARGV[14 + index], before, after, 1)), ARGV[1])
        end
    end
    keep(KEYS[2], ARGV[1])
end
keep(KEYS[1], ARGV[1])
return answer
""",
)

_NOTE = """
local function note(visits, id, outcome)
    if id == '' then return end
    for index, entry in ipairs(redis.call('LRANGE', visits, 0, -1)) do
        local first = string.find(entry, '\\t', 1, true)
        local second = first and string.find(entry, '\\t', first + 1, true)
        if second and string.find(entry, id, second, true) then
            redis.call('LSET', visits, index - 1,
                string.sub(entry, 1, first) .. outcome .. string.sub(entry, second))
            return entry
        end
    end
end
"""

# KEYS: link. ARGV: owner, request JSON. Returns 1 while the lease is the owner's, else 0.
ARM = Script(
    "arm",
    _CLOCK
    + """
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'request', ARGV[2], 'asked_at', now)
return 1
""",
)

# KEYS: link, sessions, visits, then the outbox's lists
# ARGV: 1 owner, 2 attempt, 3 session id, 4 session JSON, 5 visit id, 6 outcome, 7 keep until,
#       8 the campaign's revision, 9 a revision that no campaign has, then a line for each of the
#       outbox's lists
# Returns 1, or 0 if the link has gone on to another attempt meanwhile, or was revoked, or 2 if the
# visit was taken back meanwhile: the session is nobody's, and has to be closed.
SETTLE = Script(
    "settle",
    _CLOCK
    + _KEEP
    + _NOTE
    + APPEND
    + """
local known = redis.call('HMGET', KEYS[1], 'attempt', 'lease', 'revoked_at')
if known[1] ~= ARGV[2] or known[3] then return 0 end
-- A webhook may have told of this session already; what it said is newer than a fresh session.
redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4])
local line = note(KEYS[3], ARGV[5], ARGV[6])
local doubted = line and string.find(line, '"closing":true', 1, true)
redis.call('HSET', KEYS[1], 'current', ARGV[3], 'current_at', now, 'attempt_open', '0',
    'current_revision', doubted and ARGV[9] or ARGV[8])
-- What is heard of the link's sessions at this moment is put together without this one.
redis.call('HINCRBY', KEYS[1], 'heard', 1)
local open = redis.call('HGET', KEYS[1], 'open') or ''
if not string.find(open, ARGV[3], 1, true) then
    redis.call('HSET', KEYS[1], 'open', open .. ' ' .. ARGV[3])
end
redis.call('HDEL', KEYS[1], 'request', 'spent_at')
if known[2] == ARGV[1] then redis.call('HDEL', KEYS[1], 'lease', 'lease_until') end
keep(KEYS[2], ARGV[7])
if not doubted then
    for index = 4, #KEYS do append(KEYS[index], ARGV[6 + index], ARGV[7]) end
end
return doubted and 2 or 1
""",
)

# KEYS: link, visits
# ARGV: 1 owner, 2 how the attempt is left ('settled', 'spent' or '', see links.Left), 3 visit id,
#       4 outcome
RELEASE = Script(
    "release",
    _CLOCK
    + _NOTE
    + """
if redis.call('HGET', KEYS[1], 'lease') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'lease', 'lease_until')
    if ARGV[2] == 'settled' then redis.call('HSET', KEYS[1], 'attempt_open', '0', 'request', '') end
    if ARGV[2] == 'spent' then redis.call('HSETNX', KEYS[1], 'spent_at', now) end
end
note(KEYS[2], ARGV[3], ARGV[4])
return 1
""",
)

# KEYS: visits. ARGV: visit id, outcome
NOTE = Script("note", _NOTE + "note(KEYS[1], ARGV[1], ARGV[2])\nreturn 1\n")

# KEYS: link, sessions, ledger, events, then the outbox's lists
# ARGV: 1 event id ('' if none), 2 what `heard` has to be, 3 keep until (Unix s), 4 JSON: {"fields":
#       {field of the link: value ('' for none)}, "sessions": {id: JSON}, "dropped": [session id],
#       "others": {id: JSON}, "lines": [[number of its key, line]]}
# Returns 'applied', 'duplicate' or 'conflict': then it has to be worked out anew.
APPLY = Script(
    "apply",
    _KEEP
    + APPEND
    + """
if ARGV[1] ~= '' and redis.call('SISMEMBER', KEYS[4], ARGV[1]) == 1 then return 'duplicate' end
if (redis.call('HGET', KEYS[1], 'heard') or '0') ~= ARGV[2] then return 'conflict' end
local change = cjson.decode(ARGV[4])
for field, value in pairs(change.fields) do
    if value == '' then
        redis.call('HDEL', KEYS[1], field)
    else
        redis.call('HSET', KEYS[1], field, value)
    end
end
redis.call('HINCRBY', KEYS[1], 'heard', 1)
for id, text in pairs(change.sessions) do redis.call('HSET', KEYS[2], id, text) end
for _, id in ipairs(change.dropped) do redis.call('HDEL', KEYS[2], id) end
for id, text in pairs(change.others) do redis.call('HSET', KEYS[3], id, text) end
if ARGV[1] ~= '' then redis.call('SADD', KEYS[4], ARGV[1]) end
for index = 1, 4 do keep(KEYS[index], ARGV[3]) end
for _, pair in ipairs(change.lines) do append(KEYS[pair[1]], pair[2], ARGV[3]) end
return 'applied'
""",
)

# KEYS: link. ARGV: 1 time (Unix ms), 2 keep until (Unix s), then field, value, ... of the link, if
# they are known. Returns 1 if it was not revoked before.
REVOKE = Script(
    "revoke",
    _KEEP
    + """
local fresh = redis.call('HSETNX', KEYS[1], 'revoked_at', ARGV[1])
for index = 3, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[index], ARGV[index + 1]) end
keep(KEYS[1], ARGV[2])
return fresh
""",
)

# KEYS: private. ARGV: JSON, keep until (Unix s)
KEEP_PRIVATE = Script(
    "keep private",
    _KEEP
    + """
redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
keep(KEYS[1], ARGV[2])
return 1
""",
)

# KEYS: link, buffered of each link in turn
# ARGV: visits kept; JSON: for each link [keep until (Unix s), campaign, recipient, expires (Unix
#       s), customer, [the visits' lines]]
# One call for many links, and one argument for all of them: calls and arguments cost the gateway
# more than the commands cost the store. On a cluster it is called with one link at a time.
RECORD = Script(
    "record",
    _KEEP
    + """
local kept = tonumber(ARGV[1])
for index, row in ipairs(cjson.decode(ARGV[2])) do
    local link, visits, till = KEYS[2 * index - 1], KEYS[2 * index], string.format('%d', row[1])
    if redis.call('HEXISTS', link, 'expires_at') == 0 then
        redis.call('HSET', link, 'campaign', row[2], 'recipient', row[3],
            'expires_at', string.format('%d', row[4]), 'customer', row[5])
    end
    keep(link, till)
    for _, line in ipairs(row[6]) do redis.call('LPUSH', visits, line) end
    redis.call('LTRIM', visits, 0, kept - 1)
    keep(visits, till)
end
return #KEYS / 2
""",
)

# KEYS: counters, counted. ARGV: batch number, then field, amount, field, amount, ...
COUNT = Script(
    "count",
    """
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[1]) then return 0 end
for index = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[index], ARGV[index + 1]) end
redis.call('SET', KEYS[2], ARGV[1], 'EX', 3600)
return 1
""",
)
