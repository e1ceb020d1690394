-- The wire format of protobuf: reads one field after the other and says what is wrong with one. It knows no message.
local protobuf = {}

-- Wire types that proto3 has, and how many bytes a fixed one takes.
protobuf.VARINT, protobuf.LEN = 0, 2
local FIXED = { [1] = 8, [5] = 4 }
-- Bytes of the longest varint: 64 bits, seven at a time.
local MAX_VARINT = 10

-- A varint as its lower and upper 32 bits, since numbers of Lua may be doubles, and the place behind it; or nothing and a flaw.
function protobuf.varint(tvb, at, stop)
  local low, high = 0, 0
  for index = 0, MAX_VARINT - 1 do
    if at + index >= stop then
      return nil, "a varint is cut"
    end
    local byte = tvb(at + index, 1):uint()
    local bits = byte % 128
    if index < 4 then
      low = low + bits * 2 ^ (7 * index)
    elseif index == 4 then
      low = low + bits % 16 * 2 ^ 28
      high = math.floor(bits / 16)
    elseif index < 9 then
      high = high + bits * 2 ^ (7 * index - 32)
    elseif byte > 1 then
      return nil, byte < 128 and "a varint has more than 64 bits" or "a varint is longer than 10 bytes"
    else
      high = high + bits * 2 ^ 31
    end
    if byte < 128 then
      return low, high, at + index + 1
    end
  end
end

-- The field that begins at `at`: number, wire type, numbers as `low` and `high`, everything else as the bytes from `from` to
-- `stop`. Or nothing and a flaw.
function protobuf.field(tvb, at, stop)
  local low, high, from = protobuf.varint(tvb, at, stop)
  if not low then
    return nil, high
  end
  if high ~= 0 or low < 8 then
    return nil, "a field number is 0 or above 536870911"
  end
  local field = { number = math.floor(low / 8), wire = low % 8, from = from }
  if field.wire == protobuf.VARINT then
    field.low, field.high, field.stop = protobuf.varint(tvb, from, stop)
    if not field.low then
      return nil, field.high
    end
    return field
  end
  local len = FIXED[field.wire]
  if field.wire == protobuf.LEN then
    low, high, field.from = protobuf.varint(tvb, from, stop)
    if not low then
      return nil, high
    end
    len = high == 0 and low or math.huge
  end
  if not len then
    return nil, string.format("field %d has wire type %d", field.number, field.wire)
  end
  if len > stop - field.from then
    return nil, string.format("field %d is cut", field.number)
  end
  field.stop = field.from + math.floor(len)
  return field
end

-- Bounds of the second byte after lead bytes that could begin an overlong form, a surrogate or something above U+10FFFF.
local SECOND = { [0xE0] = { 0xA0, 0xBF }, [0xED] = { 0x80, 0x9F }, [0xF0] = { 0x90, 0xBF }, [0xF4] = { 0x80, 0x8F } }

local function followers(lead)
  if lead < 0x80 then
    return 0
  elseif lead >= 0xC2 and lead <= 0xDF then
    return 1
  elseif lead >= 0xE0 and lead <= 0xEF then
    return 2
  elseif lead >= 0xF0 and lead <= 0xF4 then
    return 3
  end
end

-- Whether a string of bytes is UTF-8.
function protobuf.is_utf8(text)
  if not text:find("[\128-\255]") then
    return true
  end
  local at = 1
  while at <= #text do
    local lead = text:byte(at)
    local more = followers(lead)
    if not more or at + more > #text then
      return false
    end
    for index = 1, more do
      local bounds = index == 1 and SECOND[lead] or { 0x80, 0xBF }
      local byte = text:byte(at + index)
      if byte < bounds[1] or byte > bounds[2] then
        return false
      end
    end
    at = at + more + 1
  end
  return true
end

return protobuf
