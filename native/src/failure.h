#pragma once

#include <napi.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace trtorch {

/**
 * A failure on its way to JS, thrown on any thread. `code` is one of TrtorchError's codes; `layer` names the layer
 * being handled, where there is one; `log` holds the library's own last error lines.
 */
class Failure : public std::runtime_error {
 public:
  Failure(std::string code, const std::string& message, std::string layer = "")
      : std::runtime_error(message), code(std::move(code)), layer(std::move(layer)) {}

  Napi::Error toError(Napi::Env env) const;

  std::string code;
  std::string layer;
  std::string hint;
  std::vector<std::string> log;
};

}  // namespace trtorch
