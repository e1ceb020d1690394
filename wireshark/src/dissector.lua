-- Cuts byte streams and messages of WebSocket into frames, and registers the dissector where they come from.
local tables = require("tidewire.tables")
local fields = require("tidewire.fields")
local frame = require("tidewire.frame")
local conversation = require("tidewire.conversation")

local tidewire = Proto("tidewire", "Tidewire")
tidewire.fields = fields.all
local experts = {}
for _, known in pairs(fields.experts) do
  experts[#experts + 1] = known
end
tidewire.experts = experts
tidewire.prefs.ports = Pref.range("TCP ports", "7400", "Ports on which the server speaks plain TCP", 65535)
tidewire.init = conversation.reset

local HEADER_LEN, PREFACE_LEN = tables.limits.HEADER_LEN, tables.limits.PREFACE_LEN

-- So many frames of a packet are named in the info column.
local MAX_LINES = 8

-- Whether the bytes at a place are the preface, as far as they go.
local function is_preface(tvb, at)
  local bytes = tvb(at, math.min(tvb:len() - at, PREFACE_LEN)):bytes():tohex(true)
  return tables.preface:sub(1, #bytes) == bytes
end

-- Whether the bytes with which a direction begins are too large for a length, whatever follows them.
local function is_no_header(tvb)
  local known = math.min(tvb:len(), 3)
  return tvb(0, known):uint() * 256 ^ (3 - known) > tables.limits.MAX_FRAME_HARD
end

-- Bytes that are not interpreted, with the reason.
local function uninterpreted(tvb, at, tree, expert_info, text)
  local item = tree:add(tidewire, tvb(at), "Tidewire, not interpreted")
  local data = item:add(fields.data, tvb(at))
  if text then
    data:add_proto_expert_info(expert_info, text)
  elseif expert_info then
    data:add_proto_expert_info(expert_info)
  end
end

-- Asks for the rest of a frame, `missing` bytes if that is known; what cannot be joined is shown as it is.
local function more(tvb, at, pinfo, tree, missing)
  if pinfo.can_desegment > 0 and tvb:len() == tvb:reported_len() then
    pinfo.desegment_offset = at
    pinfo.desegment_len = missing or DESEGMENT_ONE_MORE_SEGMENT
  else
    uninterpreted(tvb, at, tree, fields.experts.cut, "the rest of the frame is not here")
  end
end

-- Shows bytes that cannot be cut into frames; true if these are such: they follow a length that was none, or a direction begins
-- with neither a preface nor a header. A capture may begin inside a frame, so the next packet is tried again.
local function is_lost(tvb, pinfo, tree, stream, here)
  local broken, begun = stream.broken[here], stream.begun[here]
  if broken and pinfo.number > broken.number then
    uninterpreted(tvb, 0, tree)
    return true
  end
  local is_before = not begun or pinfo.number < begun.number
  if is_before and not is_preface(tvb, 0) and is_no_header(tvb) then
    uninterpreted(tvb, 0, tree, fields.experts.bad_preface)
    return true
  end
  return false
end

-- Notes that a direction has begun, and how.
local function begin(stream, here, pinfo, has_preface)
  stream.started = stream.started or has_preface
  stream.begun[here] = stream.begun[here] or { number = pinfo.number, has_preface = has_preface }
  return stream.begun[here]
end

-- The limit that a body length exceeds. What comes behind such a header is not interpreted, as a receiver would not.
local function limit_broken(at, header, pinfo, stream, here)
  local limit = conversation.limit(stream, here)
  local broken = stream.broken[here]
  if pinfo.visited and broken and broken.number == pinfo.number and broken.at == at then
    return broken.limit
  elseif pinfo.visited or header.len <= limit then
    return header.len > tables.limits.MAX_FRAME_HARD and tables.limits.MAX_FRAME_HARD or nil
  end
  -- In a capture that begins in the middle of a frame the next packet may begin with a header.
  if stream.started or stream.logged_in then
    stream.broken[here] = { number = pinfo.number, at = at, limit = limit }
  end
  return limit
end

-- Cuts bytes into frames; returns lines for the info column.
local function cut(tvb, pinfo, tree, is_stream)
  local stream, here, there = conversation.of(pinfo, is_stream and is_preface(tvb, 0))
  local lines, at = {}, 0
  if not is_stream then
    begin(stream, here, pinfo, true)
  elseif is_lost(tvb, pinfo, tree, stream, here) then
    return { "[not interpreted]" }
  end
  while at < tvb:len() do
    local left = tvb:len() - at
    if is_stream and is_preface(tvb, at) then
      if left < PREFACE_LEN then
        more(tvb, at, pinfo, tree)
        break
      end
      begin(stream, here, pinfo, true)
      local item = tree:add(tidewire, tvb(at, PREFACE_LEN), "Tidewire, preface")
      item:add(fields.preface, tvb(at, PREFACE_LEN))
      lines[#lines + 1] = "preface"
      at = at + PREFACE_LEN
    elseif left < HEADER_LEN then
      more(tvb, at, pinfo, tree)
      break
    else
      local begun = begin(stream, here, pinfo, false)
      local header = frame.header(tvb, at)
      local missing = HEADER_LEN + header.len - left
      local limit = limit_broken(at, header, pinfo, stream, here)
      if limit then
        local text = string.format("body length %d exceeds limit %d", header.len, limit)
        uninterpreted(tvb, at, tree, fields.experts.too_large, text)
        lines[#lines + 1] = "[body length " .. header.len .. "]"
        break
      elseif missing > 0 then
        more(tvb, at, pinfo, tree, missing)
        break
      end
      local item = tree:add(tidewire, tvb(at, HEADER_LEN + header.len))
      if at == 0 and begun.number == pinfo.number and not begun.has_preface then
        item:add_proto_expert_info(fields.experts.no_preface)
      end
      lines[#lines + 1] = frame.add(tvb, at, header, pinfo, item, stream, here, there)
      at = at + HEADER_LEN + header.len
    end
  end
  return lines
end

local function dissect(tvb, pinfo, tree, is_stream)
  local lines = cut(tvb, pinfo, tree, is_stream)
  pinfo.cols.protocol = "Tidewire"
  if #lines > 0 then
    local rest = #lines > MAX_LINES and string.format(", and %d more", #lines - MAX_LINES) or ""
    pinfo.cols.info:set(table.concat(lines, ", ", 1, math.min(#lines, MAX_LINES)) .. rest .. " ")
    -- Another part of the same packet adds to it.
    pinfo.cols.info:fence()
  end
  return tvb:len()
end

function tidewire.dissector(tvb, pinfo, tree)
  return dissect(tvb, pinfo, tree, true)
end

-- Messages of WebSocket hold whole frames and no preface.
local in_websocket = Proto("tidewire_websocket", "Tidewire in WebSocket")

function in_websocket.dissector(tvb, pinfo, tree)
  return dissect(tvb, pinfo, tree, false)
end

-- On any port: a connection whose first bytes are the preface.
local function heuristic(tvb, pinfo, tree)
  if tvb:len() < PREFACE_LEN or not is_preface(tvb, 0) then
    return false
  end
  pinfo.conversation = tidewire
  dissect(tvb, pinfo, tree, true)
  return true
end

local tcp_ports, ports = DissectorTable.get("tcp.port"), nil

-- The ports of the preferences, at first and whenever they are changed.
local function listen()
  if ports ~= tidewire.prefs.ports then
    if ports and ports ~= "" then
      tcp_ports:remove(ports, tidewire)
    end
    ports = tidewire.prefs.ports
    if ports ~= "" then
      tcp_ports:add(ports, tidewire)
    end
  end
end

tidewire.prefs_changed = listen
listen()
DissectorTable.get("tls.alpn"):add("tidewire/1", tidewire)
DissectorTable.get("tls.port"):add_for_decode_as(tidewire)
DissectorTable.get("ws.protocol"):add("tidewire.v1", in_websocket)
tidewire:register_heuristic("tcp", heuristic)
