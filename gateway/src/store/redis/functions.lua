#!lua name=foremap_1
-- Writes of foremap. Each is one function call, so it happens as a whole or not at all, here and on replicas.
--
-- Each touches the keys that it declares and no other: while a slot is being moved, Redis answers for declared keys only if
-- all of them are here, and lets a key that was not declared pass for one that does not exist.
--
-- Numbers are doubles: versions and microseconds stay below 2^53, where those are exact. They are turned into text with
-- %.0f, as tostring() would round them.
--
-- A version record is its version (8 bytes, big-endian), flags, and what the gateway encoded: the length of the write
-- id in one byte, the write id, the keymap.

local CREATED, DELETED = 1, 2
-- Longest life of a registration and of the lease: what says that it lives longer was written by a clock that was ahead.
local MAX_LIFE_US = 60000000
local MAX_VERSION = 9007199254740991
-- Log entries trimmed by one write, where a shorter log was configured than before.
local MAX_TRIM = 100

-- Kinds of outcome.
local WRITTEN, CONFLICT, MISSING, AHEAD, USED_UP = 0, 1, 2, 3, 4

local function text(number)
  return string.format('%.0f', number)
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function version_of(record)
  return (struct.unpack('>I8', record))
end

local function has(record, flag)
  local flags = string.byte(record, 9)
  return math.floor(flags / flag) % 2 == 1
end

local function id_of(record)
  return string.sub(record, 11, 10 + string.byte(record, 10))
end

local function last_of(state)
  return tonumber(redis.call('HGET', state, 'last') or 0)
end

-- The newest record of a key is a string of its own, older ones are in a list, newest first: most keys have one version,
-- and a list of one would take some 90 bytes more.
-- keys: newest, older, index, log, state
-- args: key, expected version ('' for any, 'present'), write id, '1' to delete, body, versions kept, log entries kept,
-- the latest time that it can be, in microseconds (earlier gateways do not say)
local function write(keys, args)
  local newest, older, index, log, state = keys[1], keys[2], keys[3], keys[4], keys[5]
  local key, expect, id, deletes, body = args[1], args[2], args[3], args[4] == '1', args[5]
  local kept = tonumber(args[6])
  local last = last_of(state)
  local head = redis.call('GET', newest)
  if head and id ~= '' then
    local records = redis.call('LRANGE', older, 0, -1)
    table.insert(records, head)
    for _, record in ipairs(records) do
      if id_of(record) == id then
        return {WRITTEN, version_of(record), has(record, CREATED) and 1 or 0, last}
      end
    end
  end
  local current = 0
  if head and not has(head, DELETED) then
    current = version_of(head)
  end
  if expect == 'present' then
    if current == 0 then
      return {CONFLICT, current, 0, last}
    end
  elseif expect ~= '' and tonumber(expect) ~= current then
    return {CONFLICT, current, 0, last}
  end
  if deletes and current == 0 then
    return {MISSING, 0, 0, last}
  end
  local now = now_us()
  local ahead = now - math.min(tonumber(args[8] or MAX_VERSION), MAX_VERSION)
  if ahead > 0 then
    return {AHEAD, math.min(ahead, MAX_VERSION), 0, last}
  end
  -- A clock that is behind changes nothing: versions count on from the newest.
  local version = math.max(now, last + 1)
  if version > MAX_VERSION then
    return {USED_UP, 0, 0, last}
  end
  local created = current == 0
  local flags = (created and CREATED or 0) + (deletes and DELETED or 0)
  -- First of all, as it is the only one that refuses something of the right type: a position that is not above all.
  redis.call('XADD', log, text(version) .. '-0', deletes and 'd' or 'k', key)
  redis.call('SET', newest, struct.pack('>I8', version) .. string.char(flags) .. body)
  if kept < 2 then
    redis.call('DEL', older)
  elseif head then
    redis.call('LPUSH', older, head)
    redis.call('LTRIM', older, 0, kept - 2)
  end
  if deletes then
    redis.call('ZREM', index, key)
  elseif created then
    redis.call('ZADD', index, 0, key)
  end
  redis.call('HSET', state, 'last', text(version))
  local surplus = math.min(redis.call('XLEN', log) - tonumber(args[7]), MAX_TRIM)
  if surplus > 0 then
    local gone = redis.call('XRANGE', log, '-', '+', 'COUNT', surplus)
    redis.call('HSET', state, 'base', string.match(gone[#gone][1], '^%d+'))
    redis.call('XTRIM', log, 'MAXLEN', '=', redis.call('XLEN', log) - surplus)
  end
  return {WRITTEN, version, created and 1 or 0, version}
end

-- keys: newest, older, state; args: version
local function remove(keys, args)
  local last = last_of(keys[3])
  local version = tonumber(args[1])
  local head = redis.call('GET', keys[1])
  -- Neither the live one nor the newest marker: without its marker, a deletion could not be told.
  if head and version_of(head) == version then
    return {CONFLICT, version, 0, last}
  end
  for _, record in ipairs(redis.call('LRANGE', keys[2], 0, -1)) do
    if version_of(record) == version then
      redis.call('LREM', keys[2], 1, record)
      return {WRITTEN, version, 0, last}
    end
  end
  return {MISSING, 0, 0, last}
end

local function term_of(lease)
  return tonumber(redis.call('HGET', lease, 'term') or 0)
end

-- keys: map, lease; args: expected epoch ('' for none), term, epoch, bytes
local function put_map(keys, args)
  local stored = redis.call('HGET', keys[1], 'epoch') or ''
  if stored ~= args[1] or (args[1] ~= '' and tonumber(args[2]) < term_of(keys[2])) then
    return 0
  end
  redis.call('HSET', keys[1], 'epoch', args[3], 'bytes', args[4])
  return 1
end

-- Whether what ends at `expires` is still alive.
local function is_alive(expires, now)
  return expires > now and expires - now <= MAX_LIFE_US
end

-- A registration is the time it expires (8 bytes, big-endian), the incarnation (8 bytes), the length of the origin
-- (2 bytes, big-endian), the origin, and what the gateway encoded.
-- keys: members; args: id, incarnation, origin, microseconds to live, encoded
local function announce(keys, args)
  local now = now_us()
  local held = redis.call('HGET', keys[1], args[1])
  if held then
    local expires, incarnation, length = struct.unpack('>I8c8I2', held)
    local origin = string.sub(held, 19, 18 + length)
    if is_alive(expires, now) and incarnation ~= args[2] and origin ~= args[3] then
      return 0
    end
  end
  local head = struct.pack('>I8c8I2', now + tonumber(args[4]), args[2], #args[3])
  redis.call('HSET', keys[1], args[1], head .. args[3] .. args[5])
  return 1
end

-- keys: members; args: id, incarnation
local function retract(keys, args)
  local held = redis.call('HGET', keys[1], args[1])
  if not held or string.sub(held, 9, 16) ~= args[2] then
    return 0
  end
  redis.call('HDEL', keys[1], args[1])
  return 1
end

-- keys: lease; args: incarnation, microseconds to keep it
local function lead(keys, args)
  local now = now_us()
  local till = now + tonumber(args[2])
  local term = term_of(keys[1])
  local who = redis.call('HGET', keys[1], 'who')
  local expires = tonumber(redis.call('HGET', keys[1], 'until') or 0)
  if who ~= args[1] or not is_alive(expires, now) then
    -- A resignation of what is not held changes nothing.
    if is_alive(expires, now) or till <= now then
      return false
    end
    term = term + 1
  end
  redis.call('HSET', keys[1], 'term', text(term), 'who', args[1], 'until', text(till))
  return till > now and term
end

-- keys: blob, lease; args: term, '1' to store, content
local function put_blob(keys, args)
  if tonumber(args[1]) < term_of(keys[2]) then
    return 0
  end
  if args[2] == '1' then
    redis.call('SET', keys[1], args[3])
  else
    redis.call('DEL', keys[1])
  end
  return 1
end

-- keys: blob; args: what it is, what it is to be
local function reseal(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then
    return 0
  end
  redis.call('SET', keys[1], args[2])
  return 1
end

redis.register_function('foremap_1_write', write)
redis.register_function('foremap_1_remove', remove)
redis.register_function('foremap_1_put_map', put_map)
-- Gateways stay members on a full master: what these store is small and replaces what was there.
redis.register_function{function_name = 'foremap_1_announce', callback = announce, flags = {'allow-oom'}}
redis.register_function{function_name = 'foremap_1_retract', callback = retract, flags = {'allow-oom'}}
redis.register_function{function_name = 'foremap_1_lead', callback = lead, flags = {'allow-oom'}}
redis.register_function('foremap_1_put_blob', put_blob)
redis.register_function('foremap_1_reseal', reseal)
