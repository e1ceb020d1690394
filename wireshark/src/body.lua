-- Bodies: a message along the tables, each field under its name.
local tables = require("tidewire.tables")
local fields = require("tidewire.fields")
local protobuf = require("tidewire.protobuf")

local body = {}

local NUMBERS = { bool = true, uint32 = true, uint64 = true, enum = true }
-- Bounds of repeated fields, where they are not MAX_ITEMS.
local BOUNDS = { features = tables.limits.MAX_FEATURES, requires = tables.limits.MAX_FEATURES }
-- Longer content is no text that one reads in a line.
local MAX_TEXT = 200

local function flawed(tree, tvb, at, stop, name, text)
  local rest = tree:add(fields.data, tvb(at, stop - at))
  rest:add_proto_expert_info(fields.experts[name], text)
end

-- The names of the bits that are set.
local function bit_names(names, mask)
  local set = {}
  for bit = 0, 31 do
    if math.floor(mask / 2 ^ bit) % 2 == 1 then
      set[#set + 1] = names[bit] or string.format("bit %d", bit)
    end
  end
  return #set > 0 and table.concat(set, "|") or "none"
end

-- Says what a number means, and puts it where a filter for all codes finds it.
local function explain(item, tree, range, known, value)
  if known.means == "ms" then
    item:append_text(" ms")
  elseif known.means == "permissions" or known.means == "group_flags" then
    item:append_text(" (" .. bit_names(tables[known.means], value) .. ")")
  elseif known.means == "code" then
    tree:add(fields.code, range, value):set_hidden()
    local code, class = tables.codes[value], tables.classes[math.floor(value / 4096)]
    if code then
      item:append_text(string.format(": %s; %s", code.meaning, class))
    elseif value ~= 0 then
      item:add_proto_expert_info(fields.experts.unknown_value)
    end
  elseif known.kind == "enum" and not tables.enums[known.of][value] then
    item:add_proto_expert_info(fields.experts.unknown_value, "unknown, taken as UNSPECIFIED")
  end
end

local function put_number(tree, range, proto_field, known, low, high)
  if known.kind == "bool" then
    local value = low ~= 0 or high ~= 0
    tree:add(proto_field, range, value)
    return value
  elseif known.kind == "uint64" then
    local value = UInt64.new(low, high)
    explain(tree:add(proto_field, range, value), tree, range, known)
    return tostring(value)
  end
  -- Where a number is too large for its type, its upper half plays no part. Enums have a sign.
  local value = math.floor(low)
  if known.kind == "enum" and low >= 2 ^ 31 then
    value = math.floor(low - 2 ^ 32)
  end
  explain(tree:add(proto_field, range, value), tree, range, known, value)
  return value
end

local message

-- Puts a known field into the tree; returns the number of its items, or nothing and a flaw.
local function put(tvb, at, field, tree, proto_field, known, path, found)
  local range = tvb(at, field.stop - at)
  if NUMBERS[known.kind] then
    if field.wire == protobuf.VARINT then
      found[path] = put_number(tree, range, proto_field, known, field.low, field.high)
      return 1
    elseif field.wire ~= protobuf.LEN or not known.repeated then
      return nil, string.format("%s has wire type %d", known.name, field.wire)
    end
    local items, from = 0, field.from
    while from < field.stop do
      local low, high, next_at = protobuf.varint(tvb, from, field.stop)
      if not low then
        return nil, high
      end
      put_number(tree, tvb(from, next_at - from), proto_field, known, low, high)
      items, from = items + 1, next_at
    end
    return items
  elseif field.wire ~= protobuf.LEN then
    return nil, string.format("%s has wire type %d", known.name, field.wire)
  end
  local content = tvb(field.from, field.stop - field.from)
  if known.kind == "message" then
    -- Pieces of one message are merged, so their items count together; those of a list are messages of their own.
    local item = known.repeated and string.format("[%d]", (found.counts[path] or 0) + 1) or ""
    message(tvb, field.from, field.stop, tree:add(proto_field, range), known.of, path .. item .. ".", found)
    return 1
  end
  local text = content:len() > 0 and content:raw() or ""
  if known.kind == "string" then
    if not protobuf.is_utf8(text) then
      return nil, known.name .. " is not UTF-8"
    end
    tree:add_packet_field(proto_field, content, ENC_UTF_8)
    found[path] = text
    return 1
  end
  local item = tree:add(proto_field, content)
  if known.name == "content" and #text > 0 and #text <= MAX_TEXT and not text:find("%c") and protobuf.is_utf8(text) then
    item:append_text(' "' .. text .. '"')
  end
  return 1
end

-- Counts the items of a repeated field, and says once that there are too many.
local function count(tree, known, path, items, counts)
  local before = counts[path] or 0
  local after, bound = before + items, BOUNDS[known.name] or tables.limits.MAX_ITEMS
  counts[path] = after
  if after > bound and before <= bound then
    tree:add_proto_expert_info(fields.experts.too_many_items, string.format("more than %d items of %s", bound, known.name))
  end
end

-- Puts the message between two places into the tree. What its fields hold goes into `found` by path. 
message = function(tvb, at, stop, tree, name, path, found)
  local shape, proto_fields = tables.messages[name].fields, fields.messages[name]
  while at < stop do
    local field, flaw = protobuf.field(tvb, at, stop)
    local known = field and shape[field.number]
    if known then
      local items
      items, flaw = put(tvb, at, field, tree, proto_fields[field.number], known, path .. known.name, found)
      if items and known.repeated then
        count(tree, known, path .. known.name, items, found.counts)
      end
    elseif field then
      body.unknown_field(tree, tvb(at, field.stop - at), field)
    end
    if flaw then
      flawed(tree, tvb, at, stop, "malformed", flaw)
      found.flaw = flaw
      return
    end
    at = field.stop
  end
end

-- A field that nobody knows.
function body.unknown_field(tree, range, field)
  local item = tree:add(fields.unknown, range)
  item:prepend_text(string.format("Field %d, wire type %d: ", field.number, field.wire))
  item:add_proto_expert_info(fields.experts.unknown_field, string.format("field %d is unknown", field.number))
end

-- Puts a body into the tree and returns what its fields hold, by path (`limits.max_frame`). `flaw` says what is broken, `counts`
-- how many items repeated fields have.
function body.add(tvb, at, stop, tree, name)
  local found = { counts = {} }
  local item = tree:add(fields.bodies[name], tvb(at, stop - at))
  message(tvb, at, stop, item, name, "", found)
  return found
end

return body
