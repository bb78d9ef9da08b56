#!/usr/bin/env bash
# The server with curl: examples/curl.sh talk.mp3
# ASR_URL and API_KEY: the server, http://localhost:3000 by default
set -euo pipefail

url=${ASR_URL:-http://localhost:3000}
recording=$1
key=()
[ -z "${API_KEY:-}" ] || key=(--header "Authorization: Bearer $API_KEY")

transcribe() {
    curl --silent --show-error --fail-with-body ${key[@]+"${key[@]}"} "$url/v1/audio/transcriptions" \
        --form "file=@$recording" --form model=whisper-1 "$@"
}

echo "--- text"
transcribe --form response_format=text
echo

echo "--- subtitles"
transcribe --form response_format=srt

echo "--- words with their times"
transcribe --form response_format=verbose_json --form "timestamp_granularities[]=word"
echo

echo "--- as it is recognised"
transcribe --form stream=true --no-buffer
