-- One frame: its header, its body, and what there is to say of both.
local tables = require("tidewire.tables")
local fields = require("tidewire.fields")
local body = require("tidewire.body")
local conversation = require("tidewire.conversation")

local frame = {}

-- What the info column says of a frame besides its name, in this order.
local SHOWN = { "code", "state", "from", "to_user", "to_group", "user", "group", "msg_id", "pos", "after_pos" }

-- The header at a place.
function frame.header(tvb, at)
  local flags = tvb(at + 3, 1):uint()
  return {
    len = tvb(at, 3):uint(),
    flags = flags,
    is_reply = math.floor(flags / tables.flags.reply) % 2 == 1,
    is_critical = flags % 2 == 1,
    type = tvb(at + 4, 2):uint(),
    ref = tvb(at + 6, 4):uint(),
  }
end

local function name_of(header)
  local info = tables.frames[header.type]
  return info and info.name or string.format("0x%04x", header.type)
end

local function add_header(tvb, at, tree, header)
  tree:add(fields.len, tvb(at, 3))
  local flags = tree:add(fields.flags.all, tvb(at + 3, 1))
  for _, field in ipairs(fields.flags) do
    flags:add(field, tvb(at + 3, 1))
  end
  if math.floor(header.flags / 8) % 16 ~= 0 then
    flags:add_proto_expert_info(fields.experts.reserved_flags)
  end
  local kind = tree:add(fields.type, tvb(at + 4, 2))
  local ref = tree:add(fields.ref, tvb(at + 6, 4))
  return { flags = flags, type = kind, ref = ref }
end

-- What kind and registry say against type, REPLY and ref.
local function judge_kind(items, header, info)
  local experts = fields.experts
  if not info then
    local is_event = header.ref == 0 and not header.is_reply
    local expert_info = is_event and header.is_critical and experts.unknown_critical or experts.unknown_type
    items.type:add_proto_expert_info(expert_info)
  elseif info.kind == "reply" and not header.is_reply then
    items.flags:add_proto_expert_info(experts.kind, info.name .. " is a reply, and REPLY is clear")
  elseif info.kind ~= "reply" and header.is_reply then
    items.flags:add_proto_expert_info(experts.kind, info.name .. " is no reply, and REPLY is set")
  elseif info.kind == "event" and header.ref ~= 0 then
    items.ref:add_proto_expert_info(experts.kind, info.name .. " is an event, and its ref is not 0")
  end
end

local function add_facts(tree, items, header, fact)
  local experts = fields.experts
  if fact.direction then
    items.type:add_proto_expert_info(experts.direction, fact.direction)
  end
  if fact.login then
    items.type:add_proto_expert_info(experts.login, name_of(header) .. " " .. fact.login)
  end
  if fact.reused then
    items.ref:add_proto_expert_info(experts.reused_ref, "the request in frame " .. fact.reused .. " is unanswered")
  end
  if fact.wrong_reply then
    items.type:add_proto_expert_info(experts.wrong_reply, fact.wrong_reply)
  end
  if fact.orphan then
    items.ref:add_proto_expert_info(experts.orphan)
  end
  if fact.request then
    local request = fact.request.fact.place
    tree:add(fields.request_in, request.number):set_generated()
    local seconds = math.max(fact.place.time - request.time, 0)
    local whole = math.floor(seconds)
    local time = NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))
    tree:add(fields.time, time):set_generated()
  end
  if fact.response then
    tree:add(fields.response_in, fact.response.number):set_generated()
  end
end

-- A code that the frame brings, as a line of the expert information.
local function add_code(items, info, found)
  local code = found.code
  if code and (info.name == "ERROR" or info.name == "GOAWAY" or info.name == "NOTICE") then
    local name = fields.code_names[code] or string.format("0x%04x", code)
    local text = found.text and found.text ~= "" and ": " .. found.text or ""
    items.type:add_proto_expert_info(fields.experts.code, string.format("%s %s%s", info.name, name, text))
  end
end

local function summary(header, info, found)
  local parts = { name_of(header) }
  if header.ref ~= 0 then
    parts[#parts + 1] = "ref " .. header.ref
  end
  for _, name in ipairs(SHOWN) do
    local value = found[name]
    if value ~= nil and value ~= "" then
      if name == "code" then
        value = fields.code_names[value] or string.format("0x%04x", value)
      elseif name == "state" then
        value = tables.enums.MessageState[value] or value
      end
      parts[#parts + 1] = name .. "=" .. tostring(value)
    end
  end
  if found.flaw then
    parts[#parts + 1] = "[malformed]"
  end
  return table.concat(parts, " ")
end

-- Puts a whole frame into the tree and returns a line for the info column.
function frame.add(tvb, at, header, pinfo, tree, stream, here, there)
  local items = add_header(tvb, at, tree, header)
  local info = tables.frames[header.type]
  local from = at + tables.limits.HEADER_LEN
  local found = {}
  if info then
    found = body.add(tvb, from, from + header.len, tree, info.message)
    add_code(items, info, found)
  elseif header.len > 0 then
    tree:add(fields.body, tvb(from, header.len))
  end
  judge_kind(items, header, info)
  add_facts(tree, items, header, conversation.facts(pinfo, stream, here, there, header, info, found))
  local text = summary(header, info, found)
  tree:append_text(string.format(", %s, %d bytes", text, header.len))
  return text
end

return frame
