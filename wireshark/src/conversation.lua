-- What a frame means where it stands: which request a reply answers, what the login allows. Connections are told apart by
-- their TCP stream, and what the first pass over a capture found is kept for later ones.
local tables = require("tidewire.tables")

local conversation = {}

local streams, facts = {}, {}
local tcp_stream = Field.new("tcp.stream")
-- Bit 0 of it: the SYN was captured, so the first bytes are the first bytes.
local has_completeness, tcp_completeness = pcall(Field.new, "tcp.completeness")

-- Forgets everything: another capture is read.
function conversation.reset()
  streams, facts = {}, {}
end

-- The connection of a packet, and which side of it sent the packet.
function conversation.of(pinfo)
  local here = string.format("%s:%d", pinfo.src, pinfo.src_port)
  local there = string.format("%s:%d", pinfo.dst, pinfo.dst_port)
  local id = tcp_stream()
  id = id and id.value or math.min(here, there)
  local stream = streams[id]
  if not stream then
    stream = { begun = {}, broken = {}, open = { [here] = {}, [there] = {} }, limits = {} }
    streams[id] = stream
  end
  return stream, here, there
end

-- Whether the capture has the start of the connection.
function conversation.from_start()
  local completeness = has_completeness and tcp_completeness()
  return completeness and completeness.value % 2 == 1 or false
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

-- What the login says of this frame and of later ones.
local function login(stream, here, there, header, info, found, fact)
  if stream.started and not stream.logged_in then
    fact.limit = tables.limits.MAX_FRAME_BEFORE_LOGIN
    fact.login = info and info.login == "after" and "before the login"
  elseif stream.logged_in then
    fact.limit = stream.limits[here]
    fact.login = info and info.login == "before" and "after the login"
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
