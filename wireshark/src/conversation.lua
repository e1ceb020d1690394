-- What a frame means where it stands: which request a reply answers, what the login allows. The first pass over a capture goes
-- through it in order and without a tree, so fields of TCP cannot be asked; what it found is kept for later passes.
local tables = require("tidewire.tables")

local conversation = {}

-- The newest connection between two ends, the connection of each packet, and what is known of frames.
local streams, packets, facts = {}, {}, {}

-- Forgets everything: another capture is read.
function conversation.reset()
  streams, packets, facts = {}, {}, {}
end

-- The connection of a packet, which side of it sent the packet and which gets it. A preface on a side that is past its own
-- begins another connection.
function conversation.of(pinfo, begins)
  local known = packets[pinfo.number]
  if known then
    return known.stream, known.here, known.there
  end
  local here = string.format("%s:%d", pinfo.src, pinfo.src_port)
  local there = string.format("%s:%d", pinfo.dst, pinfo.dst_port)
  local id = here < there and here .. there or there .. here
  local stream = streams[id]
  if not stream or begins and stream.begun[here] then
    stream = { begun = {}, broken = {}, open = { [here] = {}, [there] = {} }, limits = {} }
    streams[id] = stream
  end
  packets[pinfo.number] = { stream = stream, here = here, there = there }
  return stream, here, there
end

-- A reply is joined to its request, and what it has to be is compared.
local function answer(stream, there, header, info, fact)
  local request = stream.open[there][header.ref]
  if not request then
    fact.orphan = true
    return
  end
  stream.open[there][header.ref] = nil
  fact.request = request
  request.fact.response = fact.place
  local wanted = request.info and request.info.reply
  if wanted and info and info.name ~= "ERROR" and info.name ~= wanted then
    fact.wrong_reply = string.format("%s asks for %s", request.info.name, wanted)
  end
end

-- The largest body that this side may send now.
function conversation.limit(stream, here)
  if stream.logged_in then
    return stream.limits[here]
  end
  return stream.started and tables.limits.MAX_FRAME_BEFORE_LOGIN or tables.limits.MAX_FRAME_HARD
end

-- What the login says of this frame and of later ones.
local function login(stream, here, there, header, info, found, fact)
  if stream.logged_in then
    fact.login = info and info.login == "before" and "after the login"
  elseif stream.started then
    -- A request of an unknown kind is no LOGIN either.
    local is_early = info and info.login == "after" or not info and header.ref ~= 0 and not header.is_reply
    fact.login = is_early and "before the login"
  end
  if not info then
    return
  end
  local announced = found["limits.max_frame"] or tables.limits.MAX_FRAME_DEFAULT
  if info.name == "LOGIN" and not stream.client then
    stream.client, stream.limits[there] = here, announced
  elseif info.name == "LOGIN_OK" and stream.client == there then
    stream.logged_in, stream.limits[there] = true, announced
  end
  local is_client = stream.client == here
  if stream.client and (info.dir == "c2s" and not is_client or info.dir == "s2c" and is_client) then
    fact.direction = info.dir == "c2s" and "the server sends what only clients may send"
      or "a client sends what only the server may send"
  end
end

-- Everything that is known of a frame besides its bytes.
function conversation.facts(pinfo, stream, here, there, header, info, found)
  local key = table.concat({ pinfo.number, header.ref, header.type, header.flags, header.len }, ":")
  if pinfo.visited and facts[key] then
    return facts[key]
  end
  local fact = { place = { number = pinfo.number, time = pinfo.rel_ts } }
  facts[key] = fact
  login(stream, here, there, header, info, found, fact)
  if header.is_reply then
    answer(stream, there, header, info, fact)
  elseif header.ref ~= 0 then
    local open = stream.open[here]
    fact.reused = open[header.ref] and open[header.ref].fact.place.number
    open[header.ref] = { info = info, fact = fact }
  end
  return fact
end

return conversation
