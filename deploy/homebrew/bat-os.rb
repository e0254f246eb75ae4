# BAT OS for Homebrew, for a tap of your own. deploy/release.py fills in what stands in braces:
#
#   brew install ./bat-os.rb && batos "what is 17% of 340"
#
# The libraries come from PyPI, as with pipx; the model packages at the first start. To start it at
# login: batos service install.
class BatOs < Formula
  desc "Living image for local AI: it learns the methods it lacks and keeps them"
  homepage "{homepage}"
  url "{address}/bat_os-{version}-py3-none-any.whl", using: :nounzip
  sha256 "{sha256}"
  license "MIT"

  depends_on "python@3.12"

  def install
    system Formula["python@3.12"].opt_bin/"python3.12", "-m", "venv", libexec
    system libexec/"bin/pip", "install", "--no-cache-dir", *Dir["*.whl"]
    bin.install_symlink %w[batos batos-chat batos-watchdog].map {{ |name| libexec/"bin"/name }}
    man1.install_symlink libexec/"share/man/man1/batos.1"
  end

  test do
    assert_match version.to_s, shell_output("#{{bin}}/batos --version")
  end
end
