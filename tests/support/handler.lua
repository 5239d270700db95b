-- How busted reports to scripts/test.sh: one line a test, "ok NAME", "not ok NAME" with its details on lines that begin
-- with "#", or "skip NAME"; the same that the C test programs print. Each line is flushed, so that a crash loses none.

return function(_)
  local busted = require "busted"
  local pretty = require "pl.pretty"
  local handler = require "busted.outputHandlers.base"()

  local function emit(line)
    io.write(line, "\n")
    io.flush()
  end

  local function text(message)
    if message == nil then return "no message" end
    return type(message) == "string" and message or pretty.write(message)
  end

  local function failed(record)
    local trace = record.element.trace or record.trace or {}
    emit("not ok " .. record.name)
    emit(("#   at %s:%s"):format(trace.short_src or "?", trace.currentline or "?"))
    emit("#   " .. text(record.message):gsub("\n", "\n#   "))
    local traceback = record.isError and record.trace and record.trace.traceback
    if traceback then emit("#   " .. traceback:gsub("^\n", ""):gsub("\n", "\n#   ")) end
  end

  function handler.testEnd(_, _, status)
    if status == "success" then
      emit("ok " .. handler.successes[#handler.successes].name)
    elseif status == "pending" then
      local record = handler.pendings[#handler.pendings]
      emit("skip " .. record.name .. (record.message and ": " .. text(record.message) or ""))
    elseif status == "failure" then
      failed(handler.failures[#handler.failures])
    elseif status == "error" then
      failed(handler.errors[#handler.errors])
    end
    return nil, true
  end

  -- What fails outside of a test: loading the file, a setup or teardown.
  function handler.error(element)
    if element.descriptor ~= "it" then failed(handler.errors[#handler.errors]) end
    return nil, true
  end

  busted.subscribe({"test", "end"}, handler.testEnd, {predicate = handler.cancelOnPending})
  busted.subscribe({"error"}, handler.error)
  busted.subscribe({"failure"}, handler.error)
  return handler
end
