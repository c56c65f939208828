#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace trtorch {

namespace {

[[noreturn]] void fail(Napi::Env env, const char* call, const std::string& path) {
  throw Napi::Error::New(env, std::string(strerror(errno)) + ": " + call + " '" + path + "'");
}

}  // namespace

Napi::Value mapFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>();
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(env, "open", path);
  struct stat status;
  if (fstat(file, &status) != 0) {
    close(file);
    fail(env, "fstat", path);
  }
  const size_t size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    close(file);
    return Napi::ArrayBuffer::New(env, 0);
  }
  void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  // The map holds the file open by itself.
  close(file);
  if (bytes == MAP_FAILED) fail(env, "mmap", path);
  return Napi::ArrayBuffer::New(
      env, bytes, size, [](Napi::Env, void* data, size_t* length) {
        munmap(data, *length);
        delete length;
      },
      new size_t(size));
}

}  // namespace trtorch
