-- The example programs run as a person would run them, and print what they promise. What needs MNIST is skipped, visibly,
-- where NEAP_DATA is not set.

local build = os.getenv "NEAP_BUILD_DIR" or "build"

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- Runs an example; returns what it printed on both streams, and whether it ended well.
local function run(name, arguments)
  local program = exists(build .. "/neap") and build .. "/neap" or "lua5.4"
  local pipe = assert(io.popen(("%s scripts/examples/%s.lua %s 2>&1 </dev/null"):format(program, name, arguments or "")))
  local text = pipe:read "a"
  return text, pipe:close() == true
end

local function works(name, arguments)
  local text, ok = run(name, arguments)
  assert(ok, text)
  return text
end

local function has_mnist()
  local dir = os.getenv "NEAP_DATA"
  return dir ~= nil and exists(dir .. "/mnist/train-images-idx3-ubyte.gz")
end

describe("examples", function()
  it("first_script finds the line", function()
    local slope, offset = works "first_script":match "y = ([%d.]+) x %+ ([%d.]+)"
    assert.is_true(math.abs(slope - 3) < 0.1 and math.abs(offset - 1) < 0.1, slope .. " " .. offset)
  end)

  it("xor is learnt", function()
    local text = works "xor"
    for _, case in ipairs{{"0 xor 0", 0}, {"0 xor 1", 1}, {"1 xor 0", 1}, {"1 xor 1", 0}} do
      local p = tonumber(text:match(case[1] .. " = ([%d.]+)"))
      assert.is_true(math.abs(p - case[2]) < 0.2, text)
    end
  end)

  local function has_reviews() return exists((os.getenv "NEAP_DATA" or "") .. "/rt-polarity/rt-polarity.pos") end

  it("sentiment learns from some sentences", function()
    if not has_reviews() then return pending "no rt-polarity under NEAP_DATA" end
    local text = works("sentiment", "--limit 2500 --epochs 4 --width 32")
    assert.is_true(tonumber(text:match "Test accuracy: ([%d.]+)") > 0.62, text)
  end)

  it("sentiment: 0.75 or more #slow #once", function()
    if not has_reviews() then return pending "no rt-polarity under NEAP_DATA" end
    assert.is_true(tonumber(works "sentiment":match "Test accuracy: ([%d.]+)") >= 0.75)
  end)

  it("two_layer: three ways to the same gradients", function()
    local text = works("two_layer", "--rate 0.05")
    assert.is_true(tonumber(text:match "Largest disagreement: (%S+)") < 1e-8, text)
    for _, title in ipairs{"by autograd", "by the chain rule", "by differences", "after one step at rate 0.05"} do
      assert.is_truthy(text:find(title, 1, true), text)
    end
    -- A step downhill lowers the loss.
    local before, after = text:match "loss%s+(%S+).*loss%s+(%S+)"
    assert.is_true(tonumber(after) < tonumber(before), text)
  end)

  it("say how they are used", function()
    local text = works("mnist_softmax", "--help")
    for _, option in ipairs{"--data DIR", "--seed N", "--init NAME"} do
      assert.is_truthy(text:find(option, 1, true), text)
    end
    local message, ok = run("mnist_softmax", "--sed 3")
    assert.is_false(ok)
    assert.matches("unknown option %-%-sed %(did you mean '%-%-seed'", message)
    message, ok = run("mnist_softmax", "--data /no/such/folder")
    assert.is_false(ok)
    assert.matches("/no/such/folder", message)
  end)

  it("demo learns drawn digits, writes a picture and weights", function()
    local dir = os.tmpname()
    os.remove(dir)
    os.execute("mkdir " .. dir)
    local text = works("demo", "--digits --epochs 3 --out " .. dir)
    local accuracy = tonumber(text:match "Test accuracy: ([%d.]+)")
    assert.is_true(exists(dir .. "/digits.png") and exists(dir .. "/digits.safetensors"))
    os.execute("rm -r " .. dir)
    assert.is_true(accuracy >= 0.97, text)
  end)

  -- Over 60 seeds 0.9173 with a deviation of 0.0004, never under 0.9164. Shuffled batches give 0.9174 with 0.0022 (260
  -- seeds, 5 of them under 0.912), in PyTorch 2.13 too (0.9174 with 0.0021; 200 seeds, 2 of them under 0.912).
  it("mnist_softmax: 0.912 or more", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local text = works("mnist_softmax", "--seed 1")
    for step = 100, 1000, 100 do assert.matches(("Step: %d, Loss: %%d"):format(step), text) end
    local accuracy = tonumber(text:match "Test accuracy: ([%d.]+)")
    assert.is_true(accuracy >= 0.912 and accuracy < 0.93, text)
  end)

  it("mnist_softmax from N(0, 1): 0.86 to 0.90", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local accuracy = tonumber(works("mnist_softmax", "--init normal"):match "Test accuracy: ([%d.]+)")
    assert.is_true(accuracy >= 0.86 and accuracy <= 0.90, accuracy)
  end)

  it("mnist_softmax in five seeds: 0.915 in their mean #slow #once", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local total = 0
    for seed = 1, 5 do
      local accuracy = tonumber(works("mnist_softmax", "--seed " .. seed):match "Test accuracy: ([%d.]+)")
      assert.is_true(accuracy >= 0.912, ("seed %d: %g"):format(seed, accuracy))
      total = total + accuracy
    end
    assert.is_true(total / 5 >= 0.915, total / 5)
  end)

  it("lenet learns from few images #once", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local text = works("lenet", "--images 2000 --epochs 2 --unseen 500")
    local accuracy, seconds = text:match "Test accuracy: ([%d.]+) after (%d+) seconds"
    assert.is_true(tonumber(accuracy) > 0.65 and tonumber(seconds) >= 0, text)
  end)

  -- The answers are NumPy's for the same sums.
  it("numerics finds the known answers", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local text = works "numerics"
    for _, answer in ipairs{"0.9246 0.0531 0.0171 0.0052", "distances 78.8514, 0.8933", "R^2 0.517749, intercept 152.1335",
      "objective 37.771930", "accuracy 0.9877", "frequency 1250; error 0.7071 with it, 0.0001 without"} do
      assert.matches(answer, text, 1, true)
    end
  end)

  it("dcgan writes a picture of samples", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local path = os.tmpname()
    local text = works("dcgan", "--take 128 --size 32 --epochs 1 --out " .. path)
    assert.matches("epoch 1: loss of the critic [%d.]+, of the generator [%d.]+", text)
    local file = assert(io.open(path, "rb"))
    assert.equal("\137PNG", file:read(4))
    assert.is_true(file:seek "end" > 5000)
    file:close()
    os.remove(path)
  end)

  it("char_lstm reads and writes", function()
    local dir = os.getenv "NEAP_DATA"
    if not (dir and exists(dir .. "/tinyshakespeare/input.txt")) then return pending "no tiny Shakespeare under NEAP_DATA" end
    local text = works("char_lstm", "--take 40000 --epochs 2 --hidden 48 --steps 32 --rows 16 --write 60")
    local first, second = text:match "epoch 1: %S+ nats a letter, on unseen text (%S+).*epoch 2: %S+ nats a letter, on unseen text (%S+)"
    assert.is_true(tonumber(second) < tonumber(first) and tonumber(second) < 3, text)
    assert.matches("Validation loss: " .. second, text, 1, true)
  end)

  it("gpt learns the letters of a text and writes some", function()
    local text = works("gpt", "--text README.md --steps 200 --width 32 --layers 1 --heads 2 --context 16 --batch 8 --sample 40")
    local first, nats, sample = text:match "Step: 200, Loss: ([%d.]+).*\nValidation: ([%d.]+) nats a letter, trained in %d+ s\n(.*)\n$"
    assert.is_true(tonumber(first) < 3.2 and tonumber(nats) < 3.5, text)
    assert.are.equal(40, utf8.len(sample) or #sample)
  end)

  -- With its own settings 1.58, after 250 seconds of a core.
  it("gpt: small, and for a few steps, 2.2 nats a letter of Shakespeare #slow #once", function()
    local dir = os.getenv "NEAP_DATA"
    if not (dir and exists(dir .. "/tinyshakespeare/input.txt")) then return pending "no tiny Shakespeare under NEAP_DATA" end
    local text = works("gpt", "--steps 300 --width 128 --layers 3 --heads 4 --context 64")
    assert.is_true(tonumber(text:match "Validation: ([%d.]+)") <= 2.2, text)
  end)

  it("mlp_mnist: 0.978 within 10 epochs #slow #once", function()
    if not has_mnist() then return pending "no MNIST under NEAP_DATA" end
    local best = tonumber(works "mlp_mnist":match "best ([%d.]+)")
    assert.is_true(best >= 0.978, best)
  end)
end)
