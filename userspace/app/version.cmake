# Runs with each build: writes OUT, the definition of version(), if it has changed.
# Needs SOURCE, VERSION and OUT.
set(commit unknown)
set(git git -C ${SOURCE})
execute_process(COMMAND ${git} rev-parse --show-prefix
  OUTPUT_VARIABLE prefix ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
# A source archive that lies in some other project's tree has no commit.
if(NOT failed AND prefix STREQUAL "")
  execute_process(COMMAND ${git} describe --always --dirty --abbrev=7 --exclude=*
    OUTPUT_VARIABLE described ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(NOT failed)
    set(commit ${described})
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT [[
#include "app/version.hpp"

std::string_view drainwatch::version()
{
    return "@VERSION@ (@commit@)";
}
]] @ONLY)
