-- What can be filtered for, and what the expert information says: `tidewire.type`, `tidewire.send.to_user`, ...
local tables = require("tidewire.tables")

local fields = { all = {}, experts = {}, flags = {}, messages = {}, bodies = {} }

local function add(field)
  fields.all[#fields.all + 1] = field
  return field
end

local function names(table_of, name_of)
  local out = {}
  for number, known in pairs(table_of) do
    out[number] = name_of(known)
  end
  return out
end

fields.type_names = names(tables.frames, function(frame) return frame.name end)
for number, name in pairs(tables.reserved) do
  fields.type_names[number] = name .. " (reserved)"
end
fields.code_names = names(tables.codes, function(code) return code.name end)

fields.preface = add(ProtoField.bytes("tidewire.preface", "Preface"))
fields.data = add(ProtoField.bytes("tidewire.data", "Uninterpreted bytes"))
fields.len = add(ProtoField.uint24("tidewire.len", "Length", base.DEC))
fields.flags.all = add(ProtoField.uint8("tidewire.flags", "Flags", base.HEX))
fields.type = add(ProtoField.uint16("tidewire.type", "Type", base.HEX, fields.type_names))
fields.ref = add(ProtoField.uint32("tidewire.ref", "Ref", base.DEC))
fields.body = add(ProtoField.bytes("tidewire.body", "Body"))
fields.unknown = add(ProtoField.bytes("tidewire.unknown", "Unknown field"))
fields.code = add(ProtoField.uint32("tidewire.code", "Code", base.HEX, fields.code_names))
fields.request_in = add(ProtoField.framenum("tidewire.request_in", "Request in", base.NONE, frametype.REQUEST))
fields.response_in = add(ProtoField.framenum("tidewire.response_in", "Response in", base.NONE, frametype.RESPONSE))
fields.time = add(ProtoField.relative_time("tidewire.time", "Time from request to response"))

-- In the order of the bits, highest first.
for _, name in ipairs({ "grease", "reserved", "logged", "reply", "critical" }) do
  local label = name:sub(1, 1):upper() .. name:sub(2)
  local abbrev, mask = "tidewire.flags." .. name, tables.flags[name]
  local field
  if name == "reserved" then
    field = ProtoField.uint8(abbrev, label, base.HEX, nil, mask)
  else
    field = ProtoField.bool(abbrev, label, 8, nil, mask)
  end
  fields.flags[#fields.flags + 1] = add(field)
end

local MASKS = { permissions = true, group_flags = true }

local function field_of(abbrev, known)
  local kind, name = known.kind, known.name
  if kind == "bool" then
    return ProtoField.bool(abbrev, name)
  elseif kind == "string" then
    return ProtoField.string(abbrev, name, base.UNICODE)
  elseif kind == "bytes" then
    return ProtoField.bytes(abbrev, name)
  elseif kind == "message" then
    return ProtoField.none(abbrev, name)
  elseif kind == "enum" then
    return ProtoField.int32(abbrev, name, base.DEC, tables.enums[known.of])
  elseif kind == "uint64" then
    return ProtoField.uint64(abbrev, name, base.DEC)
  elseif known.means == "code" then
    return ProtoField.uint32(abbrev, name, base.HEX, fields.code_names)
  elseif known.means == "feature" then
    return ProtoField.uint32(abbrev, name, base.DEC, tables.features)
  end
  return ProtoField.uint32(abbrev, name, MASKS[known.means] and base.HEX or base.DEC)
end

for message, shape in pairs(tables.messages) do
  local abbrev = "tidewire." .. shape.abbrev
  fields.bodies[message] = add(ProtoField.none(abbrev, message))
  fields.messages[message] = {}
  for number, known in pairs(shape.fields) do
    fields.messages[message][number] = add(field_of(abbrev .. "." .. known.name, known))
  end
end

local function expert_of(name, text, group, severity)
  fields.experts[name] = ProtoExpert.new("tidewire.expert." .. name, text, group, severity)
end

local group, severity = expert.group, expert.severity
expert_of("bad_preface", "Neither a preface nor a frame", group.PROTOCOL, severity.ERROR)
expert_of("no_preface", "A frame without a preface before it, unless the capture begins later", group.PROTOCOL, severity.NOTE)
expert_of("too_large", "Body length above the limit", group.PROTOCOL, severity.ERROR)
expert_of("reserved_flags", "Reserved flags are set", group.PROTOCOL, severity.WARN)
expert_of("malformed", "The body does not decode", group.MALFORMED, severity.ERROR)
expert_of("too_many_items", "A repeated field has too many items", group.PROTOCOL, severity.ERROR)
expert_of("direction", "A frame of the other direction", group.PROTOCOL, severity.ERROR)
expert_of("kind", "Ref or REPLY do not fit the type", group.PROTOCOL, severity.WARN)
expert_of("login", "A frame that does not fit before or after the login", group.SEQUENCE, severity.ERROR)
expert_of("wrong_reply", "A reply of another type than the request's", group.SEQUENCE, severity.ERROR)
expert_of("orphan", "A reply to no request that was seen", group.SEQUENCE, severity.NOTE)
expert_of("reused_ref", "The ref of a request that is unanswered", group.SEQUENCE, severity.WARN)
expert_of("unknown_type", "A frame of an unknown type", group.UNDECODED, severity.NOTE)
expert_of("unknown_critical", "A critical event of an unknown type", group.UNDECODED, severity.WARN)
expert_of("unknown_field", "A field that is unknown", group.UNDECODED, severity.CHAT)
expert_of("unknown_value", "A value that has no name", group.UNDECODED, severity.NOTE)
expert_of("code", "An error or a notice", group.RESPONSE_CODE, severity.NOTE)
expert_of("cut", "The capture lacks the rest", group.UNDECODED, severity.WARN)

return fields
