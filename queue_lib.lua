-- The queue's moves. queue_lib.py sends this file once and then calls it by its hash:
-- ARGV[1] the verb, ARGV[2] the settings as JSON, ARGV[3..] the verb's arguments; every time is in Redis' own ms.
-- The table of keys stands at the head of queue_lib.py. Keys are made up here rather than passed in KEYS: a move
-- touches the keys of whichever jobs it finds, so this wants one Redis, not a cluster.
--
-- A script that raises is not rolled back. So a job's hash is read through pcall, a strange one is passed over, and
-- a job is written down at its new place before it leaves the old one: what stands in two indexes is cleaned up by
-- look_after, what stands in none would be lost.

local Q = 'document_queue'
local LISTS = {Q .. ':high', Q, Q .. ':low'}
local LEASES, DELAYED, DEAD = Q .. ':leases', Q .. ':delayed', Q .. ':dead'
local WEBHOOKS, CACHE = Q .. ':webhooks', Q .. ':cache:'
local PAUSED = Q .. ':paused'
local STATS, WORKERS, DONE, GROUPS, USERS = Q .. ':stats', Q .. ':workers', Q .. ':done', Q .. ':groups', Q .. ':users'
local CANCELLED, DIED = 'Cancelled', 'the worker died while processing it'
local GONE = 'This job was lost before any worker of ours saw it. Please upload the document again.'
local FOREIGN = 'foreign'        -- the nonce of a run by a worker that knows nothing of leases
local WALK, ENOUGH = 500, 10     -- a look at a line ends after so many jobs, or so many pointers found
local LPOS_DEPTH = 1000          -- the lowest places stand at the list's right end: deeper is not worth a scan
local INTAKE = 100               -- entries at a line's end that are looked through for bare pushes
local BATCH = 100                -- leases and retries handled in one call
local HOUR, DAY = 3600000, 86400000
local MOST_DONE, MOST_GROUPS, MOST_HISTORY = 10000, 1000, 4000   -- jobs, groups, bytes that are kept for operators
local MOST_COUNTERS = 1000
local LOOK = 2000                -- jobs that one list of an operator's looks through

local set = cjson.decode(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local FIELDS = {'at', 'list', 'user', 'payload', 'run', 'attempts', 'nonce', 'settled', 'cancel', 'since', 'status',
                'queuedAt', 'group'}

local function is_list(name) return name == LISTS[1] or name == LISTS[2] or name == LISTS[3] end

local function load(id)
  local job = {id = id}
  local reply = redis.pcall('HMGET', 'job:' .. id, unpack(FIELDS))
  if reply.err then
    job.strange = true           -- a key of another type under our name: nothing of it can be used
    return job
  end
  for i, field in ipairs(FIELDS) do job[field] = reply[i] or nil end
  job.run, job.attempts = tonumber(job.run) or 0, tonumber(job.attempts) or 0
  local over = job.at == nil or job.at == 'done' or job.at == 'dead' or job.at == 'deleted'
  if not over and not (job.payload and job.user and is_list(job.list)) then
    return {id = id, strange = true}
  end
  return job
end

local function save(job, ...) redis.call('HSET', 'job:' .. job.id, ...) end

-- For operators: nothing below decides anything by what is kept here ---------------------------------------------------

-- Counted since ever, for /metrics, and by the hour, for the dashboard's 24 hours.
local function count(what, many)
  local hour = STATS .. ':' .. math.floor(now / HOUR)
  many = many or 1
  redis.call('HINCRBY', STATS, what, many)
  if redis.call('HINCRBY', hour, what, many) == many then redis.call('PEXPIRE', hour, 26 * HOUR) end
end

-- A value, in ms or MB, goes into a bucket: up to 10, 20, 40 and so on.
local function measure(what, value)
  local bucket, bound = 0, 10
  while value > bound and bucket < 24 do bucket, bound = bucket + 1, bound * 2 end
  count(what .. '|' .. bucket)
  count(what .. '|sum', math.floor(value))
end

-- What a run took, as its worker says. The stages' names come from the child, which a document may own: new ones are
-- counted only as long as there are few.
local function weigh(job, figures)
  local ok, told = pcall(cjson.decode, figures or '')
  if not ok or type(told) ~= 'table' then return end
  for what, value in pairs(told) do
    local known = redis.call('HEXISTS', STATS, what .. '|sum') == 1
    if type(value) == 'number' and (known or redis.call('HLEN', STATS) < MOST_COUNTERS) then measure(what, value) end
  end
  save(job, 'figures', figures)
end

-- A line of a job's history: when, what, and why. The oldest go when there are too many.
local function note(job, what, why)
  local told = redis.call('HGET', 'job:' .. job.id, 'history') or ''
  told = told .. string.format('%.0f %s %s\n', now, what, string.gsub(string.sub(why or '', 1, 200), '%c+', ' '))
  if #told > MOST_HISTORY then told = string.sub(told, string.find(told, '\n', #told - MOST_HISTORY, true) + 1) end
  save(job, 'history', told)
end

local function arrived(job, how)
  count('queued')
  note(job, how)
  local today = USERS .. ':' .. math.floor(now / DAY)
  redis.call('ZINCRBY', today, 1, job.user)
  redis.call('PEXPIRE', today, 2 * DAY)
end

-- What failed for the same cause is one group: how often, since when, and the latest job of it.
local function blame(job, title)
  job.group = string.sub(redis.sha1hex(title), 1, 12)
  local key = Q .. ':group:' .. job.group
  save(job, 'group', job.group)
  redis.call('HSETNX', key, 'first', now)
  redis.call('HSET', key, 'title', title, 'last', now, 'job', job.id)
  redis.call('HINCRBY', key, 'times', 1)
  redis.call('PEXPIRE', key, set.ttl)
  redis.call('ZADD', GROUPS, now, job.group)
  redis.call('ZREMRANGEBYSCORE', GROUPS, '-inf', now - set.ttl)
  redis.call('ZREMRANGEBYRANK', GROUPS, 0, -MOST_GROUPS - 1)
end

-- Three moves ------------------------------------------------------------------------------------------------------

-- A place in line and the pointer that BRPOP will hand out. Places only ever grow at one end and shrink at the
-- other: no clock, so that no clock can confuse two jobs.
local function push(job, front)
  local open, edge = job.list .. ':open', front and 0 or -1
  local place = tonumber(redis.call('ZRANGE', open, edge, edge, 'WITHSCORES')[2]) or 0
  redis.call('ZADD', open, place + (front and -1 or 1), job.id)
  save(job, 'at', job.list)
  if redis.call('HSETNX', job.list .. ':owner', job.id, job.user) == 1 then
    redis.call('HINCRBY', job.list .. ':window', job.user, 1)
  end
  redis.call(front and 'RPUSH' or 'LPUSH', job.list, job.payload)
end

local function promote(list, user)
  local parked = list .. ':parked:' .. user
  while set.window == 0 or (tonumber(redis.call('HGET', list .. ':window', user)) or 0) < set.window do
    local id = redis.call('RPOP', parked)
    if not id then return end
    redis.call('DECR', list .. ':parked')
    local job = load(id)
    if job.at == 'parked' and job.list == list then push(job) end
  end
end

-- Whoever takes a job out of a line lets the user's next one in: nobody else has to think of it.
local function leave(list, id)
  local user = redis.call('HGET', list .. ':owner', id)
  redis.call('ZREM', list .. ':open', id)
  if not user then return end    -- a stranger's id in our index: it had no window to give back
  redis.call('HDEL', list .. ':owner', id)
  if redis.call('HINCRBY', list .. ':window', user, -1) <= 0 then
    redis.call('HDEL', list .. ':window', user)
  end
  promote(list, user)
end

local function enter(job, first)
  save(job, 'at', 'parked', 'since', now, 'queuedAt', now)
  redis.call('INCR', job.list .. ':parked')
  redis.call(first and 'RPUSH' or 'LPUSH', job.list .. ':parked:' .. job.user, job.id)
  promote(job.list, job.user)
end

-- Ends and beginnings ----------------------------------------------------------------------------------------------

local function take_out(job)
  redis.call('ZREM', LEASES, job.id)
  redis.call('ZREM', DELAYED, job.id)
  if job.at == 'parked' then
    redis.call('DECRBY', job.list .. ':parked', redis.call('LREM', job.list .. ':parked:' .. job.user, 0, job.id))
  end
  if job.list then leave(job.list, job.id) end
end

-- What every end of a job comes to; who wants to be told of it is, from now on.
local function expire(job)
  redis.call('PEXPIRE', 'job:' .. job.id, set.ttl)
  if redis.call('HEXISTS', 'job:' .. job.id, 'webhookUrl') == 1 then redis.call('ZADD', WEBHOOKS, now, job.id) end
end

-- The dead list, and that of the job's group.
local function dead_lists(job) return {DEAD, job.group and DEAD .. ':' .. job.group} end

local function undead(job)
  for _, key in ipairs(dead_lists(job)) do redis.call('ZREM', key, job.id) end
end

-- outcome: one word for the counters; title: of the error's group, if this is the first that is heard of it.
local function bury(job, reason, outcome, title)
  if title then blame(job, title) end
  redis.call('ZADD', DEAD, now, job.id)
  save(job, 'at', 'dead', 'status', 'failed', 'error', reason)
  take_out(job)
  for _, key in ipairs(dead_lists(job)) do
    redis.call('ZADD', key, now, job.id)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - set.ttl)
    if key ~= DEAD then redis.call('PEXPIRE', key, set.ttl) end
  end
  expire(job)
  count('ended:' .. outcome)
  note(job, 'dead', reason)
end

local function bury_cancelled(job)
  redis.call('HDEL', 'job:' .. job.id, 'group')
  job.group = nil                -- what failed before is forgiven: this is no error
  bury(job, CANCELLED, 'cancelled')
end

local function done(job)
  redis.call('ZADD', DONE, now, job.id)
  redis.call('ZREMRANGEBYRANK', DONE, 0, -MOST_DONE - 1)
  count('ended:completed')
  note(job, 'done')
end

local function start(job, nonce, lease)
  job.run, job.attempts = job.run + 1, job.attempts + 1
  local list = job.at
  redis.call('ZADD', LEASES, now + lease, job.id)
  save(job, 'at', 'run', 'run', job.run, 'attempts', job.attempts, 'nonce', nonce, 'status', 'processing')
  redis.call('PERSIST', 'job:' .. job.id)
  if is_list(list) then leave(list, job.id) end
  count('started')
  measure('wait', math.max(0, now - (tonumber(job.queuedAt) or now)))
  note(job, 'started', 'attempt ' .. job.attempts .. ' by ' .. nonce)
end

-- A worker of the specification writes only `status`; where that says an end, the job is over for us as well.
local function ended_elsewhere(job)
  if job.status == 'completed' then
    save(job, 'at', 'done')
    take_out(job)
    expire(job)
    done(job)
  elseif job.status == 'failed' then
    local told = redis.call('HGET', 'job:' .. job.id, 'error')
    local reason = told and told ~= '' and told or 'failed in a worker that gave no reason'
    bury(job, reason, 'foreign', string.sub(reason, 1, 200))
  else
    return false
  end
  return true
end

local function to_front(job, why)
  save(job, 'status', 'queued', 'progress', '0', 'stage', 'queued', 'since', now, 'queuedAt', now)
  count(why)
  note(job, why)
  push(job, true)
  redis.call('ZREM', LEASES, job.id)
end

-- Bare pushes: a job as the specification's enqueueJob makes it, with nothing of ours in its hash --------------------

local function decode(raw)
  local ok, entry = pcall(cjson.decode, raw)
  local id = ok and type(entry) == 'table' and entry.jobId
  if type(id) == 'string' and #id <= 200 and string.find(id, '^[!-~]+$') then return entry end
end

local BY_PRIORITY = {[2] = LISTS[1], [1] = LISTS[2], [0] = LISTS[3]}

local function adopt(job, list, raw, entry)
  local user = entry.userId
  job.list, job.payload = BY_PRIORITY[entry.priority] or list, raw
  job.user = (type(user) == 'string' or type(user) == 'number') and tostring(user) or ''
  save(job, 'list', job.list, 'user', job.user, 'payload', raw, 'run', 0, 'attempts', 0)
  redis.call('HSETNX', 'job:' .. job.id, 'status', 'queued')
  redis.call('HSETNX', 'job:' .. job.id, 'createdAt', now)
  redis.call('PERSIST', 'job:' .. job.id)   -- whatever its producer thought: what waits must not fade
  job.queuedAt = redis.call('HGET', 'job:' .. job.id, 'createdAt')
  arrived(job, 'found')
end

local function intake(list)
  local entries = redis.call('LRANGE', list, 0, INTAKE - 1)
  for i = #entries, 1, -1 do
    local entry = decode(entries[i])
    local job = entry and load(entry.jobId)
    if job and not job.at and not job.strange then
      redis.call('LREM', list, 1, entries[i])   -- the first from the tail: it need not look through the whole list
      adopt(job, list, entries[i], entry)
      enter(job)
    end
  end
end

local function tail_is_bare(list)
  local raw = redis.call('LINDEX', list, 0)
  if not raw then return false end
  local entry = decode(raw)
  return not entry or not load(entry.jobId).at
end

-- Looking after ----------------------------------------------------------------------------------------------------

local function end_leases()
  -- Only a foreign worker's lease ends so late: it may have come to its end long before. A clock that stood ahead once
  -- must not hold a job for as long as it was ahead.
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, now + set.lease + 1, '+inf', 'LIMIT', 0, BATCH)) do
    local job = load(id)
    local foreign = job.nonce == FOREIGN
    if not (foreign and job.at == 'run' and ended_elsewhere(job)) then
      redis.call('ZADD', LEASES, 'LT', now + (foreign and set.timeout or set.lease), id)
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, BATCH)) do
    local job = load(id)
    if job.at ~= 'run' then
      redis.call('ZREM', LEASES, id)
    elseif not ended_elsewhere(job) then
      if job.cancel then
        bury_cancelled(job)
      elseif job.attempts >= set.attempts then
        bury(job, DIED, 'worker_died', DIED)
      else
        to_front(job, 'worker_died')
      end
    end
  end
end

local function wake_delayed()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, now + set.delay + 1, '+inf', 'LIMIT', 0, BATCH)) do
    redis.call('ZADD', DELAYED, now + set.delay, id)
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, BATCH)) do
    local job = load(id)
    if job.at == 'delayed' then enter(job, true) end
    redis.call('ZREM', DELAYED, id)
  end
end

-- Finds the jobs whose pointer went with a worker that died between BRPOP and claim. Asking whether the pointer is
-- there, instead of comparing with the list's tail, needs no assumption about who else pushes.
local function walk(list)
  local lost, found = {}, 0
  for _, id in ipairs(redis.call('ZRANGE', list .. ':open', 0, WALK - 1)) do
    local job = load(id)
    if job.at ~= list then
      leave(list, id)
    elseif job.status == 'completed' or job.status == 'failed' then
      ended_elsewhere(job)
    elseif redis.call('LPOS', list, job.payload, 'RANK', -1, 'MAXLEN', LPOS_DEPTH) then
      found = found + 1
      if found >= ENOUGH then break end
    elseif job.status == 'processing' then
      start(job, FOREIGN, set.timeout)
    else
      lost[#lost + 1] = job
    end
  end
  for i = #lost, 1, -1 do push(lost[i], true) end
end

-- Who has waited long at the head of a lower line becomes the head of the line above it.
local function age(list, above)
  local id = redis.call('ZRANGE', list .. ':open', 0, 0)[1]
  local job = id and load(id)
  if not job or job.at ~= list or now - (tonumber(job.since) or now) < set.max_wait then return end
  job.list = above
  save(job, 'list', above, 'since', now)
  push(job, true)
  leave(list, id)                -- the pointer left behind there starts nothing once the job is taken
end

-- Events whose time has come, for a worker with room for so many; put off by a minute, so that no other has them too.
local function due_events(room)
  if room <= 0 then return {} end
  local due = redis.call('ZRANGEBYSCORE', WEBHOOKS, '-inf', now, 'LIMIT', 0, room)
  for _, id in ipairs(due) do redis.call('ZADD', WEBHOOKS, now + 60000, id) end
  return due
end

local function next_event(room)
  local soonest
  for _, key in ipairs({LEASES, DELAYED, room > 0 and WEBHOOKS or nil}) do
    local at = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
    if at and (not soonest or at < soonest) then soonest = at end
  end
  return soonest and math.max(0, soonest - now) or -1
end

-- Verbs ------------------------------------------------------------------------------------------------------------

local verbs = {}

-- How many jobs of a user are not over. The sum over all leases and retries is asked for only where it can matter.
local function open_jobs(user)
  local count, theirs = 0, 0
  for _, list in ipairs(LISTS) do
    count = count + (tonumber(redis.call('HGET', list .. ':window', user)) or 0)
    count = count + redis.call('LLEN', list .. ':parked:' .. user)
  end
  if count + redis.call('ZCARD', LEASES) + redis.call('ZCARD', DELAYED) < set.max_user_jobs then return count end
  for _, key in ipairs({LEASES, DELAYED}) do
    for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      if load(id).user == user then theirs = theirs + 1 end
    end
  end
  return count + theirs
end

local function waiting_jobs()
  local jobs = 0
  for _, list in ipairs(LISTS) do
    jobs = jobs + redis.call('ZCARD', list .. ':open') + (tonumber(redis.call('GET', list .. ':parked')) or 0)
  end
  return jobs
end

-- What a user has had of something in the current stretch of time, and the ms until it is over.
local function used(kind, user)
  local key = Q .. ':' .. kind .. ':' .. user
  return tonumber(redis.call('GET', key)) or 0, math.max(0, redis.call('PTTL', key))
end

local function charge(kind, user, count, ms)
  local key = Q .. ':' .. kind .. ':' .. user
  redis.call('SET', key, 0, 'PX', ms, 'NX')
  redis.call('INCRBY', key, count)
end

-- Counts an upload of a user's, unless size is ''. → nothing, or what he has had too much of and the ms until he may
-- try again: {'open' | 'uploads' | 'bytes', ms}
local function ration(user, size)
  if open_jobs(user) >= set.max_user_jobs then return {'open', 60000} end
  if size == '' then return end
  local uploads, minute = used('uploads', user)
  if uploads >= set.max_uploads then return {'uploads', minute} end
  local bytes, day = used('bytes', user)
  if bytes + size > set.max_bytes then return {'bytes', day} end
  charge('uploads', user, 1, 60000)
  charge('bytes', user, size, 86400000)
end

function verbs.ration(user, size) return ration(user, size) or {'ok', ''} end

-- key: an idempotency key of the user's, or ''. size: bytes of an upload, '' for what is none or is counted.
-- Fields of the job (options of the upload) follow as name, value, ...
-- → {'queued' | 'already' | 'full', the id of the job that stands for this upload}
--   or what ration says
function verbs.enqueue(id, list, user, payload, key, size, ...)
  local job, same = load(id), Q .. ':same:' .. #user .. ':' .. user .. ':' .. key
  if job.strange then return redis.error_reply('WRONGTYPE job:' .. id .. ' is no job') end
  if job.at then return {'already', id} end
  local first = key ~= '' and redis.call('GET', same)
  if first and load(first).at ~= 'deleted' then return {'already', first} end
  if waiting_jobs() >= set.max_waiting then return {'full', ''} end
  local refused = ration(user, size)
  if refused then return refused end
  if key ~= '' then redis.call('SET', same, id, 'PX', set.same) end
  job.list, job.user, job.payload = list, user, payload
  save(job, 'status', 'queued', 'progress', '0', 'stage', 'queued', 'createdAt', now, 'list', list, 'user', user,
       'payload', payload, 'run', 0, 'attempts', 0, ...)
  arrived(job, 'queued')
  enter(job)
  return {'queued', id}
end

-- → {'run', the job's hash}; or a word that says why this pointer starts nothing: over, held, early, strange, and
-- 'wait' for a bare push whose producer has not written its hash yet (asked again with patient = '').
function verbs.claim(id, list, raw, nonce, patient)
  local job = load(id)
  if job.strange then return {'strange'} end
  if job.at == 'run' and job.nonce == nonce then      -- the reply to this very claim was lost
    return {'run', redis.call('HGETALL', 'job:' .. id)}
  end
  local bare = not job.at
  if (bare or is_list(job.at)) and redis.call('EXISTS', PAUSED) == 1 then
    redis.call('RPUSH', list, raw)
    return {'paused'}
  end
  if bare then
    local entry = decode(raw)
    if not entry then return {'strange'} end
    if not job.status and patient ~= '' then return {'wait'} end
    adopt(job, list, raw, entry)
  elseif job.at == 'run' then
    return {'held'}
  elseif job.at == 'delayed' or job.at == 'parked' then
    return {'early'}
  elseif not is_list(job.at) then
    return {'over'}
  end
  if ended_elsewhere(job) then return {'over'} end   -- a second pointer to what a worker of somebody else's has done
  start(job, nonce, set.lease)
  save(job, 'progress', '0', 'stage', 'starting')
  if bare then intake(list) end  -- last: a second copy of this very push must find the job running
  return {'run', redis.call('HGETALL', 'job:' .. id)}
end

-- What BRPOP and claim would come to, for a worker that has just finished a job: one command instead of three. Whatever
-- is not simply ready goes back, and is left to them. Sent twice, it hands out the same job.
-- → the pointer and the job's hash, or nothing
local function next_job(finished, nonce)
  local before = redis.call('HGET', 'job:' .. finished.id, 'next')
  local ours = before and load(before)
  if ours and ours.at == 'run' and ours.nonce == nonce then
    return ours.payload, redis.call('HGETALL', 'job:' .. before)
  end
  if redis.call('EXISTS', PAUSED) == 1 then return end
  for _, list in ipairs(LISTS) do
    for _ = 1, BATCH do
      local raw = redis.call('RPOP', list)
      if not raw then break end
      local entry = decode(raw)
      local answer = entry and verbs.claim(entry.jobId, list, raw, nonce, 'yes') or {'strange'}
      if answer[1] == 'run' then
        save(finished, 'next', entry.jobId)
        return raw, answer[2]
      elseif answer[1] == 'strange' or answer[1] == 'wait' then
        redis.call('RPUSH', list, raw)
        return
      end
    end
  end
end

-- An entry that no worker can read is kept where an operator finds it: under its own id where there is one, since it
-- may stand in a line already, else under the one given.
function verbs.reject(id, raw, reason)
  local entry = decode(raw)
  local job = load(entry and entry.jobId or id)
  if job.strange then job = load(id) end
  if job.strange or (job.at and not is_list(job.at)) then return 'already' end
  if not job.at then
    save(job, 'payload', raw, 'run', 0, 'attempts', 0)
    redis.call('HSETNX', 'job:' .. job.id, 'createdAt', now)
  end
  bury(job, reason, 'no_job', reason)
  return 'ok'
end

-- Valid for the newest run wherever the job is by now, even dead: its result is saved already. result: '' for one that
-- is too long for Redis.
local function finish(job, result, figures)
  save(job, 'at', 'done', 'status', 'completed', 'progress', '100', 'stage', 'done')
  if result ~= '' then save(job, 'result', result) end
  take_out(job)
  undead(job)
  redis.call('HDEL', 'job:' .. job.id, 'error', 'group')
  local digest = redis.call('HGET', 'job:' .. job.id, 'digest')
  if digest then redis.call('SET', CACHE .. digest, job.id, 'PX', set.ttl) end
  expire(job)
  weigh(job, figures)
  done(job)
end

-- nonce: with which the next job is claimed at once, '' for none. → {'ok' | 'lost', and what next_job says}
function verbs.finish(id, run, result, figures, nonce)
  local job = load(id)
  if not job.at or job.run ~= tonumber(run) then return {'lost'} end
  if job.at ~= 'done' then finish(job, result, figures) end
  if nonce == '' then return {'ok'} end
  return {'ok', next_job(job, nonce)}
end

-- Redis runs this file anew for each command: what every job goes through needs nothing of what stands below.
if verbs[ARGV[1]] then return verbs[ARGV[1]](unpack(ARGV, 3)) end

-- The three verbs that give a job up: only by the run that holds it, and the same one again says yes.
local function give_up(verb, act)
  verbs[verb] = function(id, run, ...)
    local job, mark = load(id), verb .. ' ' .. run
    if job.settled == mark then return 'ok' end
    if job.at ~= 'run' or job.run ~= tonumber(run) then return 'lost' end
    save(job, 'settled', mark)
    local way = job.cancel and bury_cancelled or act
    way(job, ...)
    return 'ok'
  end
end

give_up('bury', function(job, reason, title, figures)
  weigh(job, figures)
  bury(job, reason, 'refused', title)
end)

give_up('retry', function(job, cause, delay, last_words, title, figures)
  save(job, 'cause', cause)
  weigh(job, figures)
  blame(job, title)
  note(job, 'failed', title)
  if job.attempts >= set.attempts then return bury(job, last_words, 'given_up') end
  count('retried')
  save(job, 'at', 'delayed', 'status', 'queued', 'progress', '0', 'stage', 'waiting to try again')
  redis.call('ZADD', DELAYED, now + delay, job.id)
  redis.call('ZREM', LEASES, job.id)
end)

give_up('release', function(job)
  save(job, 'attempts', job.attempts - 1)
  to_front(job, 'released')
end)

-- → 'cancelled' for a job that waited, 'cancelling' for one that runs (its worker hears of it), 'over', 'unknown'
function verbs.cancel(id)
  local job = load(id)
  if not job.at or job.at == 'deleted' then return 'unknown' end
  if job.at == 'done' or job.at == 'dead' then return 'over' end
  save(job, 'cancel', 1)
  if job.at == 'run' then return 'cancelling' end
  bury_cancelled(job)
  return 'cancelled'
end

-- Out of the dead list, as new jobs of their users'. → how many: not what is not dead or was never a job
function verbs.requeue(...)
  local queued = 0
  for _, id in ipairs({...}) do
    local job = load(id)
    if job.at == 'dead' and job.payload and job.user and is_list(job.list) then
      redis.call('HDEL', 'job:' .. id, 'error', 'cause', 'cancel', 'settled', 'group')
      redis.call('PERSIST', 'job:' .. id)
      save(job, 'status', 'queued', 'progress', '0', 'stage', 'queued', 'attempts', 0)
      redis.call('HINCRBY', 'job:' .. id, 'requeued', 1)
      note(job, 'requeued')
      enter(job)
      undead(job)
      queued = queued + 1
    end
  end
  return queued
end

-- ids: jobs of which their user wants nothing kept. What stays is a tombstone, or a copy of a pointer would start them.
function verbs.forget(...)
  for _, id in ipairs({...}) do
    local job = load(id)
    if not job.strange then
      save(job, 'at', 'deleted')
      take_out(job)
      undead(job)
      redis.call('ZREM', DONE, id)
      redis.call('ZREM', WEBHOOKS, id)
      local digest = redis.call('HGET', 'job:' .. id, 'digest')
      if digest then redis.call('DEL', CACHE .. digest) end
      redis.call('DEL', 'job:' .. id)
      save(job, 'at', 'deleted')
      expire(job)
    end
  end
  return 'ok'
end

-- A receiver was called: what came of all calls is kept with the job. delay: ms until the next one, '' for none.
function verbs.told(id, run, deliveries, delay)
  local job = load(id)
  if job.run ~= tonumber(run) or not (job.at == 'done' or job.at == 'dead') then
    if job.at ~= 'done' and job.at ~= 'dead' then redis.call('ZREM', WEBHOOKS, id) end
    return 'old'                 -- it ran again meanwhile, and its new end is an event of its own
  end
  save(job, 'deliveries', deliveries)
  if delay == '' then redis.call('ZREM', WEBHOOKS, id) else redis.call('ZADD', WEBHOOKS, now + delay, id) end
  return 'ok'
end

-- id, run, progress, stage: the job that the calling worker is busy with ('' for none). room: for so many events.
-- commands: that this client has sent since its last look. memory: MB of the child in hand.
-- → {'mine' | 'lost' | 'cancel' | 'idle', ms until a lease ends or a retry or event is due (-1: none), paused 1 or 0,
--    ids of jobs whose receivers are to be told now}
function verbs.look_after(worker, id, run, progress, stage, room, commands, memory)
  local own = 'idle'
  if id ~= '' then
    local job = load(id)
    if job.at == 'run' and job.run == tonumber(run) then
      own = job.cancel and 'cancel' or 'mine'
      redis.call('ZADD', LEASES, now + set.lease, id)
      save(job, 'progress', progress, 'stage', stage)
    else
      own = 'lost'
    end
  end
  end_leases()
  wake_delayed()
  for i, list in ipairs(LISTS) do
    walk(list)
    if i > 1 then age(list, LISTS[i - 1]) end
    if tail_is_bare(list) then intake(list) end
  end
  if worker ~= '' then
    redis.call('HSETNX', 'worker:' .. worker, 'started', now)
    redis.call('HSET', 'worker:' .. worker, 'seen', now, 'job', id, 'stage', stage, 'memory', memory)
    redis.call('PEXPIRE', 'worker:' .. worker, set.lease * 3)
    redis.call('ZADD', WORKERS, now, worker)
    redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', now - set.lease * 3)
  end
  count('commands', tonumber(commands))
  local due = due_events(tonumber(room))
  return {own, next_event(room - #due), redis.call('EXISTS', PAUSED), due}
end

-- ids → for each where it is, '' for an id that Redis knows nothing of
function verbs.whereabouts(...)
  local places = {}
  for i, id in ipairs({...}) do places[i] = load(id).at or '' end
  return places
end

-- A bare push whose hash is old and has nothing of ours: still in a list (to be adopted, or not), or gone with the
-- worker that popped it. Gone is said only when it is seen twice, as its pointer may be on the way to a claim, or a
-- worker of somebody else's be at it, which may take as long as any may.
function verbs.seek(id, whether)
  local job = load(id)
  if job.at or job.strange then return 'known' end
  local taken = job.status == 'processing'
  for _, list in ipairs(taken and {} or LISTS) do
    for from = 0, redis.call('LLEN', list) - 1, 1000 do
      for _, raw in ipairs(redis.call('LRANGE', list, from, from + 999)) do
        local entry = string.find(raw, id, 1, true) and decode(raw)
        if entry and entry.jobId == id then
          if whether == 'adopt' then
            redis.call('LREM', list, 0, raw)
            adopt(job, list, raw, entry)
            enter(job)
          end
          return 'known'
        end
      end
    end
  end
  redis.call('HSETNX', 'job:' .. id, 'missedAt', now)
  if now - redis.call('HGET', 'job:' .. id, 'missedAt') < (taken and set.timeout or set.patience) then
    return 'sought'
  end
  bury(job, GONE, 'lost', GONE)
  return 'known'
end

-- For operators: these change no job -------------------------------------------------------------------------------------

-- The head of a line waits longest but for jobs that went to the front: some more are looked at.
local function oldest(list)
  local since
  for _, id in ipairs(redis.call('ZRANGE', list .. ':open', 0, 49)) do
    local at = tonumber(load(id).queuedAt)
    if at and (not since or at < since) then since = at end
  end
  return since and math.max(0, now - since) or 0
end

local function line_of(list)
  return {redis.call('ZCARD', list .. ':open'), tonumber(redis.call('GET', list .. ':parked')) or 0, oldest(list)}
end

-- hours: how many are wanted, the current one too. most: how many groups and users. commands: as for look_after.
-- → {counters since ever, {hour, its counters}.., {in line, parked, ms of the oldest}.., {running, delayed, dead, events
--    due, paused}, {worker, its hash}.., {group, its hash, dead jobs of it}.., {user, jobs today, waiting, bytes}.., now}
function verbs.stats(hours, most, commands)
  count('commands', tonumber(commands))
  local by_hour, lines, workers, groups, users = {}, {}, {}, {}, {}
  local hour, today = math.floor(now / HOUR), USERS .. ':' .. math.floor(now / DAY)
  for h = hour - hours + 1, hour do
    by_hour[#by_hour + 1] = {h, redis.call('HGETALL', STATS .. ':' .. h)}
  end
  for i, list in ipairs(LISTS) do lines[i] = line_of(list) end
  for i, id in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    workers[i] = {id, redis.call('HGETALL', 'worker:' .. id)}
  end
  if tonumber(most) > 0 then
    for i, id in ipairs(redis.call('ZREVRANGE', GROUPS, 0, most - 1)) do
      groups[i] = {id, redis.call('HGETALL', Q .. ':group:' .. id), redis.call('ZCARD', DEAD .. ':' .. id)}
    end
    local found = redis.call('ZREVRANGE', today, 0, most - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      local waiting = 0
      for _, list in ipairs(LISTS) do
        waiting = waiting + (tonumber(redis.call('HGET', list .. ':window', found[i])) or 0)
                + redis.call('LLEN', list .. ':parked:' .. found[i])
      end
      users[#users + 1] = {found[i], tonumber(found[i + 1]), waiting, (used('bytes', found[i]))}
    end
  end
  local places = {redis.call('ZCARD', LEASES), redis.call('ZCARD', DELAYED), redis.call('ZCARD', DEAD),
                  redis.call('ZCARD', WEBHOOKS), redis.call('EXISTS', PAUSED)}
  return {redis.call('HGETALL', STATS), by_hour, lines, places, workers, groups, users, now}
end

-- ids and their scores, the next ones of an index after so many. Of a user's waiting jobs the parked ones come as well.
local function indexed(place, user, group, from, to, skip)
  local key = ({running = LEASES, delayed = DELAYED, dead = DEAD, done = DONE})[place]
  if place == 'dead' and group ~= '' then key = DEAD .. ':' .. group end
  if place == 'dead' or place == 'done' then
    return redis.call('ZREVRANGEBYSCORE', key, to, from, 'WITHSCORES', 'LIMIT', skip, LOOK)
  elseif key then
    return redis.call('ZRANGE', key, skip, skip + LOOK - 1, 'WITHSCORES')
  end
  local ids = {}
  for _, list in ipairs(LISTS) do
    local line = redis.call('ZRANGE', list .. ':open', 0, skip + LOOK - 1)
    local parked = user ~= '' and redis.call('LRANGE', list .. ':parked:' .. user, 0, skip + LOOK - 1) or {}
    for _, id in ipairs(line) do ids[#ids + 1] = id; ids[#ids + 1] = '0' end
    for i = #parked, 1, -1 do ids[#ids + 1] = parked[i]; ids[#ids + 1] = '0' end
  end
  return {unpack(ids, skip * 2 + 1, math.min(#ids, (skip + LOOK) * 2))}
end

local SHOWN = {'at', 'user', 'list', 'status', 'stage', 'progress', 'createdAt', 'attempts', 'error', 'group', 'payload',
               'nonce', 'cancel'}

-- place: waiting, running, delayed, dead or done; '' for any user or group; from, to: ms, of the end of jobs that are
-- over and of the beginning of others. → {rows of id, score and SHOWN, how many to skip for the next ones (-1: none)}
function verbs.jobs(place, user, group, from, to, skip, most)
  local ids, rows, seen = indexed(place, user, group, from, to, tonumber(skip)), {}, 0
  while seen < #ids / 2 and #rows < tonumber(most) do
    local id, score = ids[seen * 2 + 1], ids[seen * 2 + 2]
    local reply = redis.pcall('HMGET', 'job:' .. id, unpack(SHOWN))
    local over, created = place == 'dead' or place == 'done', not reply.err and tonumber(reply[7]) or 0
    local wanted = not reply.err and reply[1] and (user == '' or reply[2] == user) and (group == '' or reply[10] == group)
    if wanted and (over or (created >= tonumber(from) and created <= tonumber(to))) then
      rows[#rows + 1] = {id, score, reply}
    end
    seen = seen + 1
  end
  local more = seen < #ids / 2 or seen >= LOOK
  return {rows, more and skip + seen or -1}
end

return verbs[ARGV[1]](unpack(ARGV, 3))
