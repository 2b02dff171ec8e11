// @elastic/elasticsearch's bulk helper, as an agency's script would use it: a part that fails is sent again.
// node bulk.js URL ID SECRET COUNT PART [gzip] prints the last number of each part that was acknowledged.
'use strict'
const { Client } = require('@elastic/elasticsearch')
const [url, id, secret, count, part, ...more] = process.argv.slice(2)
const client = new Client({ node: url, auth: { apiKey: { id, api_key: secret } }, compression: more.includes('gzip') && 'gzip' })
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function send (numbers) {
  const dropped = []
  const result = await client.helpers.bulk({
    datasource: numbers.map((n) => ({ message: `number ${n}` })),
    onDocument: () => ({ create: { _index: 'app' } }),
    onDrop: (document) => dropped.push(document),
    concurrency: 1
  })
  if (dropped.length || result.successful !== numbers.length) throw new Error(`${dropped.length} dropped`)
}

async function main () {
  for (let first = 0; first < +count; first += +part) {
    const numbers = Array.from({ length: +part }, (_, i) => first + i)
    for (;;) {
      try {
        await send(numbers)
        break
      } catch (error) {
        console.error(error.name)
        if (error.name === 'ProductNotSupportedError') process.exit(1)
        await pause(200)
      }
    }
    console.log(numbers[numbers.length - 1])
  }
}

main()
